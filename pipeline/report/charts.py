"""Charts of the report: each as SVG inside the page itself, with its numbers as a table beside it.

No script, no request, and readable on paper. Colours are the page's own (`var(--after)`), so that a chart is light or
dark with it. Each mark shows its value on hover.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from manifests.categories import load_categories
from pipeline.balance.result import BalanceResult
from pipeline.report.tally import Values

WIDTH, PLOT_H = 480, 130
"""Width of a chart, and height of its plot area, in SVG units."""
LEFT, RIGHT, ABOVE, BELOW = 48, 20, 44, 44
"""Room around the plot area, for axes, labels of marks and the unit."""
NAMES_W, ROW_H = 172, 18
"""Room for the names of categories, and height of the row of each."""
CHARACTER_W = 7.5
"""About the width of a character of 14 units."""
BINS = 24
MOST_POINTS = 60
"""The most points of a curve."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, its caption, and its numbers as a table of (what, how many)."""

    title: str
    note: str
    svg: str
    """The picture: only our own markup."""
    columns: tuple[str, str]
    numbers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the values of an axis are: from `low` at place `begin` to `high` at `end`."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return self.begin + share * (self.end - self.begin)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values, about so many."""
        step = _step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def bins_of(values: Values, top: float, n_bins: int = BINS) -> list[tuple[float, float, int]]:
    """[(from, to, how many)] from 0 to `top`; larger values count in the last bin."""
    inside = np.clip(values.values, 0, np.nextafter(top, 0))
    counts, edges = np.histogram(inside, bins=n_bins, range=(0, top), weights=values.times)
    return [(float(edges[k]), float(edges[k + 1]), int(count)) for k, count in enumerate(counts)]


def histogram(title: str, values: Values, *, top: float, unit: str, reference: float | None = None) -> Chart:
    """The distribution of the values, with their mean and, if given, the mean of HD-VILA-100M (`reference`)."""
    bins = bins_of(values, top)
    spans = [f"{a:g} to {b:g}" if k < BINS - 1 else f"{a:g} or more" for k, (a, b, _) in enumerate(bins)]
    x = Scale(0, top, LEFT, WIDTH - RIGHT)
    y = Scale(0, max(1, *(n for _, _, n in bins)), ABOVE + PLOT_H, ABOVE)
    parts = [*_axis_y(y, y.ticks(3)), *_axis_x(x, x.ticks(), y.begin, unit)]
    for (a, b, n), span in zip(bins, spans, strict=True):
        if n:
            height = max(1.0, y.begin - y(n))
            parts.append(_bar(x(a) + 0.5, y.begin - height, x(b) - x(a) - 1, height, "after", f"{span} {unit}: {n:,}"))
    marks = []
    if len(values):
        marks.append((min(values.mean(), top), f"mean {values.mean():.1f}", "ink", ""))
    if reference is not None:
        marks.append((reference, f"HD-VILA-100M {reference:g}", "asked", "4 3"))
    for k, (value, says, colour, dash) in enumerate(marks):
        at = x(value)
        parts.append(_line(at, ABOVE, at, y.begin, colour, dash=dash, says=says))
        is_left = value >= 0.6 * top
        parts.append(_text(at - 4 if is_left else at + 4, ABOVE - 8 - 16 * k, says, "end" if is_left else "start"))
    note = f"{unit}; {len(values):,} clips" if len(values) else "nothing to count yet"
    summary = ", ".join([f"histogram of {title} in {note}", *(says for _, says, _, _ in marks)])
    numbers = tuple((span, f"{n:,}") for (_, _, n), span in zip(bins, spans, strict=True))
    return Chart(title, note, _svg(parts, ABOVE + PLOT_H + BELOW, summary), (unit, "clips"), numbers)


def by_category(what: str, unit: str, by_name: Mapping[str, Values], digits: int = 1) -> Chart:
    """For each category the median of its clips, with a bar that holds nine clips in ten."""
    found = {name: [round(v.percentile(q), digits) for q in (5, 50, 95)] for name, v in by_name.items()}
    x = Scale(0, max([high for _, _, high in found.values()], default=1) or 1, NAMES_W, WIDTH - RIGHT)
    bottom = 4 + ROW_H * len(found)
    parts = [*_axis_x(x, x.ticks(), bottom, unit)]
    numbers = []
    for k, (name, (low, middle, high)) in enumerate(found.items()):
        centre = 4 + ROW_H * (k + 0.5)
        numbers.append((name, f"{middle} {unit}, nine in ten from {low} to {high}"))
        says = f"{name}: {numbers[-1][1]}"
        parts.append(_text(NAMES_W - 6, centre + 5, name, "end", most=NAMES_W - 6))
        parts.append(_bar(x(low), centre - 4.5, max(1.0, x(high) - x(low)), 9, "before", says))
        parts.append(_line(x(middle), centre - 7, x(middle), centre + 7, "ink", width=2, says=says))
    summary = f"{what} of the clips of each of {len(found)} categories"
    note = f"{unit}; line: the middle clip; bar: nine clips in ten"
    svg = _svg(parts, bottom + BELOW, summary)
    return Chart(f"{what} by category", note, svg, ("category", unit), tuple(numbers))


def concentration(clips: NDArray[np.int64]) -> Chart:
    """The share of the clips in the largest channels. `clips`: the number of each channel, at least 1."""
    shares = 100 * np.cumsum(np.sort(clips)[::-1]) / clips.sum()
    at = np.unique(np.geomspace(1, len(shares), MOST_POINTS).round().astype(int)).tolist()
    x = Scale(0, math.log10(len(shares)), LEFT, WIDTH - RIGHT)
    y = Scale(0, 100, ABOVE + PLOT_H, ABOVE)
    powers = [10**k for k in range(math.floor(x.high) + 1)]
    parts = [
        *_axis_y(y, [0, 50, 100]),
        *_axis_x(x, [math.log10(n) for n in powers], y.begin, "largest channels", powers),
    ]
    points = [(x(math.log10(n)), y(float(shares[n - 1]))) for n in at]
    line = " ".join(f"{_n(a)},{_n(b)}" for a, b in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="var(--after)" stroke-width="2"/>')
    for n, (a, b) in zip(at, points, strict=True):
        says = f"the largest {n:,}: {shares[n - 1]:.1f} %"
        parts.append(
            f'<circle cx="{_n(a)}" cy="{_n(b)}" r="3" fill="var(--after)"><title>{escape(says)}</title></circle>'
        )
    summary = f"share of the clips that the largest of {len(clips):,} channels hold"
    numbers = tuple((f"{n:,}", f"{shares[n - 1]:.1f} %") for n in at)
    svg = _svg(parts, ABOVE + PLOT_H + BELOW, summary)
    return Chart("concentration", f"% of clips; {summary}", svg, ("largest channels", "share of clips"), numbers)


# drawing


def _svg(parts: Sequence[str], height: float, summary: str) -> str:
    """`summary`: the picture's text alternative for screen readers."""
    about = f'viewBox="0 0 {WIDTH} {_n(height)}" font-size="14" role="img" aria-label="{escape(summary)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {about}>{"".join(parts)}</svg>'


def _axis_x(
    x: Scale, ticks: Sequence[float], at: float, unit: str, says: Sequence[float] | None = None
) -> Iterator[str]:
    """A horizontal axis with its ticks, and what it measures below. `says`: the values to write, if not the ticks."""
    yield _line(x.begin, at, x.end, at, "line")
    for tick, value in zip(ticks, says or ticks, strict=True):
        yield _line(x(tick), at, x(tick), at + 5, "line")
        yield _text(x(tick), at + 19, _said(value), "middle")
    yield _text((x.begin + x.end) / 2, at + 38, unit, "middle", most=1.9 * min(WIDTH - x.begin, x.begin + x.end) / 2)


def _axis_y(y: Scale, ticks: Sequence[float]) -> Iterator[str]:
    """Horizontal lines with their values."""
    for tick in ticks:
        yield _line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "line")
        yield _text(LEFT - 6, y(tick) + 5, _said(tick), "end", most=LEFT - 6)


def _bar(x: float, y: float, width: float, height: float, colour: str, says: str) -> str:
    size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
    return f'<rect {size} fill="var(--{colour})"><title>{escape(says)}</title></rect>'


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = "", says: str = ""
) -> str:
    ends = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
    style = f'stroke="var(--{colour})" stroke-width="{_n(width)}"' + (f' stroke-dasharray="{dash}"' if dash else "")
    return f"<line {ends} {style}><title>{escape(says)}</title></line>" if says else f"<line {ends} {style}/>"


def _text(x: float, y: float, words: str, anchor: str, most: float = math.inf) -> str:
    """Words, made narrower where they need more room than there is."""
    fit = f' textLength="{_n(most)}" lengthAdjust="spacingAndGlyphs"' if CHARACTER_W * len(words) > most else ""
    at = f'x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"'
    return f'<text {at} fill="var(--soft)"{fit}>{escape(words)}</text>'


def _n(value: float) -> str:
    """A number of SVG units."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _said(value: float) -> str:
    """A value beside an axis: 2.5, 40, 12,000, 3M."""
    return f"{value / 1e6:g}M" if abs(value) >= 1e6 else f"{value:,.6g}"


def _step(least: float) -> float:
    """The smallest round step of at least that."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= least * (1 - 1e-9))


# bars of the page's tables


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """A category's bars: lengths in per cent of the longest bar, shares in per cent of the total."""

    category: str
    before: float
    after: float
    asked: float | None
    theirs: float
    before_share: float
    after_share: float
    asked_share: float | None
    theirs_share: float


def balance_rows(result: BalanceResult, promised: Mapping[int, float] | None = None) -> list[BalanceRow]:
    """Each category's share promised and kept, drawn to the same scale, sorted by the kept amounts.

    `promised`: the total of all planned clips of a category, if known; else what the balance ranked is used.
    """
    amounts = {row.category_id: (promised or {}).get(row.category_id, row.planned) for row in result.categories}
    planned = sum(amounts.values())
    published = {c.id: c.hd_vila_clips for c in load_categories()}
    kept = sum(row.kept for row in result.categories)
    asked = sum(row.asked for row in result.categories if row.asked > 0)
    rows = []
    for row in result.categories:
        before, after = _share(amounts[row.category_id], planned), _share(row.kept, kept)
        want = _share(row.asked, asked) if row.asked >= 0 else None
        rows.append((row.category, before, after, want, published.get(row.category_id, 0.0)))
    widest = max((max(b, a, w or 0.0, theirs) for _, b, a, w, theirs in rows), default=0.0) or 1.0
    scale = 100 / widest
    scaled = [
        BalanceRow(name, scale * b, scale * a, None if w is None else scale * w, scale * theirs, b, a, w, theirs)
        for name, b, a, w, theirs in rows
    ]
    return sorted(scaled, key=lambda row: (-row.after, -row.before, row.category))


def _share(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Count:
    """A value with its number of clips, their share in per cent, and a bar's length in per cent of the longest."""

    value: str
    count: int
    share: float
    length: float


@dataclass(frozen=True, slots=True)
class CountList:
    """How often each value of a subject occurs."""

    title: str
    clips: int
    """How many clips were counted."""
    rows: tuple[Count, ...]


def count_list(title: str, counts: Mapping[str, int], clips: int) -> CountList:
    """A list of the counts in the given order, with bars."""
    lengths = lengths_of(list(counts.values()))
    rows = (Count(v, n, _share(n, clips), length) for (v, n), length in zip(counts.items(), lengths, strict=True))
    return CountList(title, clips, tuple(rows))


def nice_top(values: Values, at_least: float) -> float:
    """A round upper limit that covers 99 % of the values."""
    if not len(values):
        return at_least
    wanted = max(at_least, values.percentile(99))
    step = 10.0 ** math.floor(math.log10(wanted))
    return next(m * step for m in (1.0, 2.0, 4.0, 5.0, 8.0, 10.0) if m * step >= wanted)


def lengths_of(counts: Sequence[int]) -> list[float]:
    """Bar lengths in per cent of the largest count."""
    highest = max(counts, default=0) or 1
    return [100 * count / highest for count in counts]

"""Charts of the report as plain geometry: the template only draws what is computed here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.categories import load_categories
from pipeline.balance.result import BalanceResult

PLOT_W, PLOT_H = 440.0, 130.0
"""Size of a histogram's plot area, SVG units."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle with what it says when pointed at."""

    x: float
    y: float
    w: float
    h: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line with its caption; `x` in SVG units."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """One distribution. `ticks` are (x, text); `marks` the mean, and a reference where the paper has one."""

    title: str
    note: str
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    marks: tuple[Mark, ...]

    @property
    def summary(self) -> str:
        """The chart in a sentence, for those who do not see it."""
        return ", ".join([f"histogram of {self.title} in {self.note}", *(mark.label for mark in self.marks)])


def histogram(
    title: str, values: NDArray[np.float64], *, top: float, unit: str, n_bins: int = 24, reference: float | None = None
) -> Histogram:
    """Bars from 0 to `top`; what lies beyond stands in the last one."""
    inside = np.clip(values, 0, np.nextafter(top, 0))
    counts, edges = np.histogram(inside, bins=n_bins, range=(0, top))
    highest = max(1, int(counts.max(initial=0)))
    width = PLOT_W / n_bins
    bars = []
    for k, count in enumerate(counts.tolist()):
        height = PLOT_H * count / highest
        upper = f"{edges[k + 1]:g}" if k < n_bins - 1 else "more"
        label = f"{edges[k]:g} to {upper} {unit}: {count:,}"
        bars.append(Bar(k * width + 0.5, PLOT_H - height, width - 1, height, label))
    ticks = tuple(Mark(PLOT_W * k / 4, f"{top * k / 4:g}" + ("+" if k == 4 else "")) for k in range(5))
    marks = []
    if len(values):
        mean = float(values.mean())
        marks.append(Mark(min(PLOT_W, PLOT_W * mean / top), f"mean {mean:.1f}"))
    if reference is not None:
        marks.append(Mark(PLOT_W * reference / top, f"HD-VILA-100M {reference:g}"))
    note = f"{unit}; {len(values):,} clips" if len(values) else "nothing to count yet"
    return Histogram(title, note, tuple(bars), ticks, tuple(marks))


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """A category's bars, lengths in per cent of the widest; shares in per cent of all."""

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
    """Each category's share promised and kept, drawn to one scale, in the order of the kept amounts.

    `promised`: what all planned clips of a category come to, where it is known; else what the balance ranked.
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
    """A value with its clips, their share in per cent, and a bar's length in per cent of the longest."""

    value: str
    count: int
    share: float
    length: float


@dataclass(frozen=True, slots=True)
class CountList:
    """How often each value of one subject occurs."""

    title: str
    rows: tuple[Count, ...]


def count_list(title: str, counts: Mapping[str, int]) -> CountList:
    """The counts in their own order, with bars."""
    whole = sum(counts.values())
    lengths = lengths_of(list(counts.values()))
    rows = (Count(v, n, _share(n, whole), length) for (v, n), length in zip(counts.items(), lengths, strict=True))
    return CountList(title, tuple(rows))


def nice_top(values: NDArray[np.float64], at_least: float) -> float:
    """A round upper end that holds 99 in 100 of the values."""
    if not len(values):
        return at_least
    wanted = max(at_least, float(np.percentile(values, 99)))
    step = 10.0 ** math.floor(math.log10(wanted))
    return next(m * step for m in (1.0, 2.0, 4.0, 5.0, 8.0, 10.0) if m * step >= wanted)


def lengths_of(counts: Sequence[int]) -> list[float]:
    """Bar lengths in per cent of the largest count."""
    highest = max(counts, default=0) or 1
    return [100 * count / highest for count in counts]

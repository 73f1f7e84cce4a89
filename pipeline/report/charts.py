"""Charts of the report as plain geometry: the template only draws what is computed here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    before_share: float
    after_share: float


def balance_rows(result: BalanceResult) -> list[BalanceRow]:
    """Each category's share before and after, drawn to one scale, in the order of the kept amounts."""
    planned = sum(row.planned for row in result.categories)
    kept = sum(row.kept for row in result.categories)
    asked = sum(row.asked for row in result.categories if row.asked > 0)
    rows = []
    for row in result.categories:
        before, after = _share(row.planned, planned), _share(row.kept, kept)
        rows.append((row.category, before, after, _share(row.asked, asked) if row.asked >= 0 else None))
    widest = max((max(before, after, want or 0.0) for _, before, after, want in rows), default=0.0) or 1.0
    scaled = [
        BalanceRow(name, 100 * b / widest, 100 * a / widest, None if w is None else 100 * w / widest, b, a)
        for name, b, a, w in rows
    ]
    return sorted(scaled, key=lambda row: (-row.after, -row.before, row.category))


def _share(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


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

"""Charts of the report: each as a Vega-Lite specification, with its numbers as a table beside it.

They are drawn as SVG inside the page itself: no script, no request, and readable on paper. Colours are the page's own
(`var(--after)`), so that a chart is light or dark with it. Each mark shows its value on hover.
"""

import json
import logging
import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.categories import load_categories
from pipeline.balance.result import BalanceResult
from pipeline.report.tally import Values

log = logging.getLogger("hdvila")

PLOT_W, PLOT_H = 400, 130
"""Size of a chart's plot area in SVG units."""
BINS = 24
MOST_POINTS = 60
"""The most points of a curve."""


CONCENTRATION = "concentration"
DRAWING_S = 120
"""Most seconds that the charts of a page may take to draw: 1 s on a machine that is not busy."""
_DRAW = """
import json, sys, vl_convert
json.dump([vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]) for spec in json.load(sys.stdin)], sys.stdout)
"""
_SVG = "http://www.w3.org/2000/svg"
_DROPPED = ("role", "aria-roledescription", "aria-hidden", "aria-label", "pointer-events", "class", "xmlns:xlink")
CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "system-ui, Arial, sans-serif",
    "view": {"stroke": None},
    "bar": {"color": "var(--after)"},
    "axis": {
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "gridColor": "var(--line)",
        "labelColor": "var(--soft)",
        "labelFontSize": 14,
        "titleColor": "var(--soft)",
        "titleFontSize": 14,
        "titleFontWeight": "normal",
    },
    "text": {"fontSize": 14, "color": "var(--soft)"},
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, its caption, and its numbers as a table of (what, how many)."""

    title: str
    note: str
    spec: Mapping[str, Any]
    """What is drawn, in Vega-Lite."""
    summary: str
    """The picture's text alternative for screen readers."""
    columns: tuple[str, str]
    numbers: tuple[tuple[str, str], ...]
    svg: str = ""
    """The picture (only our own markup); "" while it is not drawn, or if it could not be."""


def bins_of(values: Values, top: float, n_bins: int = BINS) -> list[tuple[float, float, int]]:
    """[(from, to, how many)] from 0 to `top`; larger values count in the last bin."""
    inside = np.clip(values.values, 0, np.nextafter(top, 0))
    counts, edges = np.histogram(inside, bins=n_bins, range=(0, top), weights=values.times)
    return [(float(edges[k]), float(edges[k + 1]), int(count)) for k, count in enumerate(counts)]


def histogram(title: str, values: Values, *, top: float, unit: str, reference: float | None = None) -> Chart:
    """The distribution of the values, with their mean and, if given, the mean of HD-VILA-100M (`reference`)."""
    bins = bins_of(values, top)
    spans = [f"{a:g} to {b:g}" if k < BINS - 1 else f"{a:g} or more" for k, (a, b, _) in enumerate(bins)]
    rows = [
        {"from": a, "to": b, "clips": n, "says": f"{span} {unit}: {n:,}"}
        for (a, b, n), span in zip(bins, spans, strict=True)
    ]
    marks: list[dict[str, Any]] = []
    if len(values):
        mean = values.mean()
        marks.append({"x": min(mean, top), "says": f"mean {mean:.1f}", "colour": "var(--ink)"})
    if reference is not None:
        marks.append({"x": reference, "says": f"HD-VILA-100M {reference:g}", "colour": "var(--asked)"})
    marks = [{**mark, "line": -8 - 16 * k, "side": mark["x"] < 0.6 * top} for k, mark in enumerate(marks)]
    x = {"type": "quantitative", "scale": {"domain": [0, top], "nice": False}, "axis": {"grid": False, "tickCount": 5}}
    bars = {
        "data": {"values": rows},
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {
            "x": {"field": "from", "bin": "binned", "title": unit, **x},
            "x2": {"field": "to"},
            "y": {"field": "clips", "type": "quantitative", "title": None, "axis": {"domain": False, "tickCount": 3}},
            "description": {"field": "says"},
        },
    }
    note = f"{unit}; {len(values):,} clips" if len(values) else "nothing to count yet"
    spec = {"width": PLOT_W, "height": PLOT_H, "layer": [bars, *(_marked(mark, x) for mark in marks)]}
    summary = ", ".join([f"histogram of {title} in {note}", *(str(mark["says"]) for mark in marks)])
    numbers = tuple((span, f"{n:,}") for (_, _, n), span in zip(bins, spans, strict=True))
    return Chart(title, note, spec, summary, (unit, "clips"), numbers)


def _marked(mark: dict[str, Any], x: dict[str, Any]) -> dict[str, Any]:
    """A vertical line at `x`, with its label above the plot."""
    across = {"x": {"field": "x", **x}}
    line = {"type": "rule", "color": mark["colour"], "strokeDash": [4, 3] if "HD-VILA" in mark["says"] else [1, 0]}
    words = {"type": "text", "y": mark["line"], "dx": 4 if mark["side"] else -4}
    words["align"] = "left" if mark["side"] else "right"
    return {
        "data": {"values": [mark]},
        "layer": [
            {"mark": line, "encoding": {**across, "description": {"field": "says"}}},
            {"mark": words, "encoding": {**across, "text": {"field": "says"}}},
        ],
    }


def by_category(what: str, unit: str, by_name: Mapping[str, Values], digits: int = 1) -> Chart:
    """For each category the median of its clips, with a bar that holds nine clips in ten."""
    rows: list[dict[str, Any]] = []
    for name, values in by_name.items():
        low, middle, high = (round(values.percentile(q), digits) for q in (5, 50, 95))
        says = f"{name}: {middle} {unit}, nine in ten from {low} to {high}"
        rows.append({"category": name, "low": low, "middle": middle, "high": high, "says": says})
    y = {"field": "category", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150}}
    x = {"type": "quantitative", "title": unit, "axis": {"tickCount": 5}}
    span = {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": y, "description": {"field": "says"}}
    tick = {"x": {"field": "middle", **x}, "y": y, "description": {"field": "says"}}
    spec = {
        "width": PLOT_W - 110,
        "height": {"step": 18},
        "padding": {"left": 24, "top": 4, "right": 4, "bottom": 4},  # room for browsers with wider fonts
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "bar", "height": 9, "color": "var(--before)"}, "encoding": span},
            {"mark": {"type": "tick", "color": "var(--ink)", "thickness": 2}, "encoding": tick},
        ],
    }
    numbers = tuple((row["category"], row["says"].partition(": ")[2]) for row in rows)
    summary = f"{what} of the clips of each of {len(rows)} categories"
    note = f"{unit}; line: the middle clip; bar: nine clips in ten"
    return Chart(f"{what} by category", note, spec, summary, ("category", unit), numbers)


def concentration(clips: NDArray[np.int64]) -> Chart:
    """The share of the clips in the largest channels. `clips`: the number of each channel, at least 1."""
    shares = 100 * np.cumsum(np.sort(clips)[::-1]) / clips.sum()
    at = np.unique(np.geomspace(1, len(shares), MOST_POINTS).round().astype(int))
    rows = [
        {"channels": int(n), "share": float(shares[n - 1]), "says": f"the largest {n:,}: {shares[n - 1]:.1f} %"}
        for n in at
    ]
    x = {"type": "quantitative", "scale": {"type": "log"}, "axis": {"format": ",", "tickCount": 5}}
    encoding = {
        "x": {"field": "channels", "title": "largest channels", **x},
        "y": {"field": "share", "type": "quantitative", "title": "% of clips", "scale": {"domain": [0, 100]}},
        "description": {"field": "says"},
    }
    mark = {"type": "line", "color": "var(--after)", "point": {"color": "var(--after)", "size": 24}}
    spec = {"width": PLOT_W, "height": PLOT_H, "data": {"values": rows}, "mark": mark, "encoding": encoding}
    summary = f"share of the clips that the largest of {len(clips):,} channels hold"
    numbers = tuple((f"{row['channels']:,}", f"{row['share']:.1f} %") for row in rows)
    return Chart(CONCENTRATION, summary, spec, summary, ("largest channels", "share of clips"), numbers)


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


def drawn(charts: Sequence[Chart]) -> list[Chart]:
    """The charts with their pictures, or without, and with a warning, if the drawing fails.

    Vega-Lite's engine ends the process that it is in if it does not get its memory, over 8 GB of addresses, which a
    limit of a shared cluster (ulimit -v) may refuse: so it has a process of its own.
    """
    specs = json.dumps([{**chart.spec, "config": CONFIG} for chart in charts])
    command = [sys.executable, "-P", "-c", _DRAW]
    try:
        done = subprocess.run(command, input=specs, capture_output=True, encoding="utf-8", timeout=DRAWING_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    else:
        if done.returncode == 0:
            texts = json.loads(done.stdout)
            return [replace(chart, svg=_own(text, chart.summary)) for chart, text in zip(charts, texts, strict=True)]
        said = " ".join(done.stderr.replace("#", " ").split())[:120]
        why = f"its process ended with {done.returncode}: {said}"
    log.warning("the report has no charts, only their numbers: they could not be drawn (%s)", why)
    return list(charts)


def _own(text: str, summary: str) -> str:
    """A drawn chart as an element of the page."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(text)
    for element in root.iter():
        label = element.get("aria-label")
        if label and element is not root and element.tag in (f"{{{_SVG}}}path", f"{{{_SVG}}}rect"):
            ElementTree.SubElement(element, f"{{{_SVG}}}title").text = label
        for name in _DROPPED:
            element.attrib.pop(name, None)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", summary)
    return ElementTree.tostring(root, encoding="unicode")

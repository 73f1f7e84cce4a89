"""The curves and the table of rehearsals, for docs/lab/rehearsal.md: drawn by the charts of the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.charts import PLOT_H, PLOT_W, Chart, drawn

COLOURS = {
    "var(--after)": "#2a6fb0",
    "var(--before)": "#9db8d2",
    "var(--ink)": "#222222",
    "var(--line)": "#bbbbbb",
    "var(--soft)": "#555555",
}
"""A page of docs/ has none of the report's own."""
CURVES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("processor time, s", {"loop": "loop_s", "plans": "plans_s", "merges": "merges_s"}),
    ("memory, MB", {"driver": "mb"}),
    ("standing still, s", {"99th percentile": "p99_s", "longest": "longest_s", "longest plan": "longest_plan_s"}),
    ("objects", {"all": "n_objects", "commits and loose parts": "n_loose"}),
    ("requests one after the other", {"loop and plans": "n_requests", "merges": "n_merge_requests"}),
)
ROWS: tuple[tuple[str, str, str], ...] = (
    ("candidates looked at", "candidates", ",.0f"),
    ("videos found", "videos", ",.0f"),
    ("clips tried", "clips", ",.0f"),
    ("shards", "shards", ",.0f"),
    ("units", "units", ",.0f"),
    ("virtual hours", "hours", ".2f"),
    ("workers busy", "busy", ".1%"),
    ("loop, ms a unit", "loop_ms_a_unit", ".2f"),
    ("driver's processor time, of the run's time", "driver_share", ".1%"),
    ("standing still, 99th percentile, s", "standstill_p99_s", ".2f"),
    ("standing still, longest, s", "standstill_longest_s", ".1f"),
    ("share of the time in standstills above 1 s", "standing_over_1_s", ".1%"),
    ("a plan, median, s", "plan_p50_s", ".2f"),
    ("a plan, longest, s", "plan_longest_s", ".1f"),
    ("memory at most, MB", "peak_mb", ",.0f"),
    ("processor time of the whole rehearsal, s", "cpu_s", ",.0f"),
)


def add_result(path: Path, found: Mapping[str, Any]) -> None:
    """Adds a rehearsal to a file of results, and draws its curves and the table of all beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
    results = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.with_suffix(".svg").write_text(curves_of(found), encoding="utf-8")
    path.with_suffix(".md").write_text(table_of(results), encoding="utf-8")


def curves_of(found: Mapping[str, Any]) -> str:
    """The curves of one rehearsal over its videos, one below the other, as an `<svg>`."""
    under_way = found["samples"][:-1]  # the last one is of the end, when all is delivered
    curves = [_curve(title, lines, under_way) for title, lines in CURVES]
    spec = {"vconcat": curves, "resolve": {"scale": {"color": "independent"}}}
    title = f"what the driver of a rehearsed run of {found['n_videos']:,} videos costs"
    (chart,) = drawn([Chart(title, "", spec, title, ("", ""), ())])
    svg = chart.svg
    for name, colour in COLOURS.items():
        svg = svg.replace(name, colour)
    return svg


def _curve(title: str, lines: Mapping[str, str], samples: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    values = [
        {"videos": sample["n_videos"], "value": sample[key], "what": name}
        for name, key in lines.items()
        for sample in samples
    ]
    colours = {"domain": list(lines), "range": ["#2a6fb0", "#c0392b", "#7a8b3a"][: len(lines)]}
    legend = {"title": None, "orient": "top-left", "labelFontSize": 12} if len(lines) > 1 else None
    encoding = {
        "x": {"field": "videos", "type": "quantitative", "title": "videos made", "axis": {"format": "~s"}},
        "y": {"field": "value", "type": "quantitative", "title": title, "axis": {"format": "~s", "tickCount": 4}},
        "color": {"field": "what", "type": "nominal", "sort": None, "scale": colours, "legend": legend},
    }
    return {"width": PLOT_W, "height": PLOT_H, "data": {"values": values}, "mark": "line", "encoding": encoding}


def table_of(results: Sequence[Mapping[str, Any]]) -> str:
    """A column for each rehearsal, a row for each of its numbers, as Markdown."""
    heads = [
        f"{one['world']}, {one['n_videos']:,}, {one['n_workers']:,} workers, plans {one['plans']}" for one in results
    ]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for title, key, form in ROWS:
        lines.append(f"| {title} | {' | '.join(format(one['facts'][key], form) for one in results)} |")
    return "\n".join(lines) + "\n"

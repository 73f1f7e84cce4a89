"""Charts: every value counted once, axes that end at round numbers, each number said in words too.

Drawn ones have values to point at and a summary for who cannot see, fetch nothing and have no colours of their own.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.charts import Chart, bins_of, concentration, drawn, histogram, nice_top
from pipeline.report.tally import Values


def test_histograms_count_every_value_once() -> None:
    values = Values.of([0.0, 0.4, 3.0, 9.99, 10.0, 500.0])
    assert [n for _, _, n in bins_of(values, 10, 10)] == [2, 0, 0, 1, 0, 0, 0, 0, 0, 3]
    assert histogram("x", Values.of([]), top=10, unit="s").note == "nothing to count yet"


def test_a_chart_says_each_of_its_numbers_to_who_points_and_to_who_reads() -> None:
    (chart,) = drawn([histogram("length", Values.of([1.0, 1.2, 30.0]), top=24, unit="seconds", reference=13.4)])
    titles = re.findall(r"<title>(.*?)</title>", chart.svg)
    assert "1 to 2 seconds: 2" in titles and "23 or more seconds: 1" in titles and "HD-VILA-100M 13.4" in chart.svg
    assert ("1 to 2", "2") in chart.numbers and sum(int(n) for _, n in chart.numbers) == 3
    assert 'role="img"' in chart.svg and "histogram of length" in chart.svg and "var(--after)" in chart.svg
    assert "<script" not in chart.svg and "http" not in chart.svg.replace("http://www.w3.org/2000/svg", "")


def test_concentration_adds_up_the_largest_channels_first() -> None:
    assert concentration(np.array([1, 6, 3])).numbers == (("1", "60.0 %"), ("2", "90.0 %"), ("3", "100.0 %"))


@pytest.mark.parametrize(("largest", "top"), [(7.0, 20.0), (21.0, 40.0), (300.0, 400.0), (1000.0, 1000.0)])
def test_axes_end_at_round_numbers(largest: float, top: float) -> None:
    assert nice_top(Values.of([largest], [100]), 20) == top


def test_each_bar_says_its_value_and_the_whole_its_summary() -> None:
    rows = [{"x": "a", "n": 1}, {"x": "b", "n": 3}]
    encoding = {"x": {"field": "x", "type": "nominal"}, "y": {"field": "n", "type": "quantitative"}}
    spec = {"data": {"values": rows}, "mark": "bar", "encoding": encoding}
    svg = drawn([Chart("", "", spec, "two <bars>", ("", ""), ())])[0].svg

    assert svg.startswith("<svg") and 'role="img"' in svg and "two &lt;bars&gt;" in svg
    assert svg.count("<title>") == 2 and "x: b; n: 3" in svg
    assert "var(--after)" in svg and "<script" not in svg and "aria-roledescription" not in svg


def test_under_a_limit_of_memory_there_are_no_pictures_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limited = tmp_path / "python"
    limited.write_text(f'#!/bin/sh\nulimit -v 4000000\nexec {sys.executable} "$@"\n')
    limited.chmod(0o700)
    monkeypatch.setattr("pipeline.report.charts.sys.executable", str(limited))
    chart = concentration(np.array([1, 6, 3]))
    with caplog.at_level("WARNING", logger="hdvila"):
        assert drawn([chart]) == [chart]
    assert (
        "the report has no charts, only their numbers: they could not be drawn (its process ended with" in caplog.text
    )

"""Charts: every value counted once, axes that end at round numbers, and each number said in words too."""

import re

import numpy as np
import pytest

from pipeline.report.charts import bins_of, concentration, histogram, nice_top
from pipeline.report.tally import Values


def test_histograms_count_every_value_once() -> None:
    values = Values.of([0.0, 0.4, 3.0, 9.99, 10.0, 500.0])
    assert [n for _, _, n in bins_of(values, 10, 10)] == [2, 0, 0, 1, 0, 0, 0, 0, 0, 3]
    assert histogram("x", Values.of([]), top=10, unit="s").note == "nothing to count yet"


def test_a_chart_says_each_of_its_numbers_to_who_points_and_to_who_reads() -> None:
    chart = histogram("length", Values.of([1.0, 1.2, 30.0]), top=24, unit="seconds", reference=13.4)
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

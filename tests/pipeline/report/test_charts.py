"""Charts: every value counted once, axes that end at round numbers, each number said in words too.

They have values to point at and a summary for who cannot see, fetch nothing and have no colours of their own.
"""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from pipeline.report.charts import Chart, Scale, bins_of, by_category, concentration, histogram, nice_top
from pipeline.report.tally import Values

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<b> & 'quoted\" Ünïcode, a name that is longer than the room there is for it"
CHARTS = [
    histogram("length", Values.of([1.0, 1.2, 30.0]), top=24, unit="seconds", reference=13.4),
    histogram("nothing", Values.of([]), top=10, unit="s"),
    by_category("length", "seconds", {"Music": Values.of([1.0, 2.0, 9.0]), HOSTILE: Values.of([0.0])}),
    by_category("nothing", "seconds", {}),
    concentration(np.array([1, 6, 3])),
    concentration(np.arange(1, 5000)),
]


def test_histograms_count_every_value_once() -> None:
    values = Values.of([0.0, 0.4, 3.0, 9.99, 10.0, 500.0])
    assert [n for _, _, n in bins_of(values, 10, 10)] == [2, 0, 0, 1, 0, 0, 0, 0, 0, 3]
    assert histogram("x", Values.of([]), top=10, unit="s").note == "nothing to count yet"


@pytest.mark.parametrize("chart", CHARTS, ids=range(len(CHARTS)))
def test_a_chart_is_a_picture_of_its_own_within_its_bounds(chart: Chart) -> None:
    root = ElementTree.fromstring(chart.svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())

    assert root.tag == f"{SVG}svg" and root.attrib["role"] == "img" and root.attrib["aria-label"]
    assert "<script" not in chart.svg and "http" not in chart.svg.replace("http://www.w3.org/2000/svg", "")
    for element in root.iter():
        colours = {element.attrib.get(name, "none") for name in ("fill", "stroke")} - {"none"}
        assert all(colour.startswith("var(--") for colour in colours)
        for name, value in element.attrib.items():
            if name in ("x", "x1", "x2", "cx"):
                assert 0 <= float(value) <= width
            if name in ("y", "y1", "y2", "cy"):
                assert 0 <= float(value) <= height


def test_a_chart_says_each_of_its_numbers_to_who_points_and_to_who_reads() -> None:
    chart = CHARTS[0]
    titles = [title.text for title in ElementTree.fromstring(chart.svg).iter(f"{SVG}title")]
    assert "1 to 2 seconds: 2" in titles and "23 or more seconds: 1" in titles and "HD-VILA-100M 13.4" in titles
    assert ("1 to 2", "2") in chart.numbers and sum(int(n) for _, n in chart.numbers) == 3
    assert "histogram of length" in chart.svg
    assert CHARTS[2].numbers[0] == ("Music", "2.0 seconds, nine in ten from 1.1 to 8.3")


def test_concentration_adds_up_the_largest_channels_first() -> None:
    assert concentration(np.array([1, 6, 3])).numbers == (("1", "60.0 %"), ("2", "90.0 %"), ("3", "100.0 %"))


@pytest.mark.parametrize(("largest", "top"), [(7.0, 20.0), (21.0, 40.0), (300.0, 400.0), (1000.0, 1000.0)])
def test_axes_end_at_round_numbers(largest: float, top: float) -> None:
    assert nice_top(Values.of([largest], [100]), 20) == top


@pytest.mark.parametrize(
    ("high", "ticks"), [(1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (40, [0, 10, 20, 30, 40]), (7, [0, 2, 4, 6])]
)
def test_ticks_are_round(high: float, ticks: list[float]) -> None:
    assert Scale(0, high, 0, 100).ticks() == pytest.approx(ticks)

"""Drawn charts: values to point at, a summary for who cannot see, nothing fetched and no colours of their own."""

from pipeline.report.drawing import drawn


def test_each_bar_says_its_value_and_the_whole_its_summary() -> None:
    rows = [{"x": "a", "n": 1}, {"x": "b", "n": 3}]
    encoding = {"x": {"field": "x", "type": "nominal"}, "y": {"field": "n", "type": "quantitative"}}
    svg = drawn({"data": {"values": rows}, "mark": "bar", "encoding": encoding}, "two <bars>")

    assert svg.startswith("<svg") and 'role="img"' in svg and "two &lt;bars&gt;" in svg
    assert svg.count("<title>") == 2 and "x: b; n: 3" in svg
    assert "var(--after)" in svg and "<script" not in svg and "aria-roledescription" not in svg

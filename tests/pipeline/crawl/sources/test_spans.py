"""Spans and texts of clips, however a table writes them."""

import json

import pytest

from manifests.sample import WHOLE_MS
from pipeline.crawl.sources.spans import as_json, joined, named_clip, some_usable, spans_of, time_ms, with_texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:01.5", 1500), ("00:00:01.05", 1050), ("0:01.123456", 1123), ("01:02:03", 3_723_000), ("x", None),
        ("0:00:12.345", 12_345), ("12.345", 12_345), (12.3454, 12_345), (0, 0), (-1, None), (True, None), (None, None),
        (float("nan"), None), ("1e9", None), ("00:00:01,5", 1500),
    ],
)  # fmt: skip
def test_times_are_seconds_or_clock_times(text: object, expected: int | None) -> None:
    assert time_ms(text) == expected


@pytest.mark.parametrize(
    "clips",
    [[[0.5, 2.0], ["0:00:02.000", "4.25"]], "[[0.5, 2.0], [2, 4.25]]", "[['0:00:00.500', '0:00:02'], (2, 4.25)]"],
)
@pytest.mark.parametrize("caption", [["it's", 'a "b"'], '["it\'s", "a \\"b\\""]', '["it\'s", \'a "b"\']'])
def test_lists_in_cells_are_json_or_as_python_prints_them(clips: object, caption: object) -> None:
    assert spans_of({"clips": clips, "caption": caption}) == [
        {"n": 0, "start_ms": 500, "end_ms": 2000, "text": "it's"},
        {"n": 1, "start_ms": 2000, "end_ms": 4250, "text": 'a "b"'},
    ]


def test_one_caption_is_the_text_of_all_clips_and_alone_of_the_whole_video() -> None:
    assert [span["text"] for span in spans_of({"clips": "[[1, 2], [3, 4]]", "caption": "one"})] == ["one", "one"]
    assert spans_of({"caption": "[1] is a footnote"}) == [
        {"n": 0, "start_ms": 0, "end_ms": WHOLE_MS, "text": "[1] is a footnote"}
    ]
    assert spans_of({}) == []


def test_a_clip_that_cannot_be_read_keeps_its_place_and_costs_no_other() -> None:
    clips = [
        {"clip_id": "video.1.mp4", "span": ["00:00:01.0", "00:00:02.0"]},
        {"clip_id": "another.3.mp4", "span": ["00:00:01.0", "00:00:02.0"]},
        {"clip_id": "video.x.mp4", "span": ["00:00:01.0", "00:00:02.0"]},
        {"clip_id": "video.5.mp4", "span": ["00:00:01.0"]},
        "text",
        [1],
    ]
    spans = spans_of({"id": "video", "clips": clips})
    assert [(span["start_ms"], span["end_ms"]) for span in spans] == [(1000, 2000), *[(0, 0)] * 5]
    assert some_usable(spans) and not some_usable(spans[1:]) and spans[0]["n"] == 1


def test_the_rows_of_a_video_make_one_list_with_each_clip_once() -> None:
    one = [{"n": 0, "start_ms": 1, "end_ms": 2, "text": "a"}]
    two = [{"n": 0, "start_ms": 3, "end_ms": 4, "text": "b"}, *one]
    assert json.loads(joined([as_json(one), as_json(two), as_json(one)])) == [*one, {**two[0], "n": 1}]  # type: ignore[arg-type]


def test_texts_are_given_by_number() -> None:
    spans = as_json([{"n": 4, "start_ms": 1, "end_ms": 2, "text": ""}])
    assert json.loads(with_texts(spans, "v", {("v", 4): "said", ("w", 4): "other"}))[0]["text"] == "said"
    assert named_clip("a.b.12.mp4") == ("a.b", 12) and named_clip("a.4") == ("a", 4) and named_clip("a") is None

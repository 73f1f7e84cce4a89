"""HD-VILA-100M's released files: spans to the millisecond, texts from the second file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.origin import is_site_id
from pipeline.crawl.sources import hdvila

VIDEO = "dQw4w9WgXcQ"


def released(**changes: object) -> str:
    row = {
        "video_id": VIDEO,
        "url": f"https://www.youtube.com/watch?v={VIDEO}",
        "clip": [
            {"clip_id": f"{VIDEO}.0.mp4", "span": ["00:00:01.500", "00:00:09.25"]},
            {"clip_id": f"{VIDEO}.7.mp4", "span": ["01:00:00.000", "01:00:12.000"]},
        ],
    }
    return json.dumps({**row, **changes})


def spans_of(line: str) -> list[tuple[int, int, int]]:
    found = hdvila.parse_line(line, 0)
    return [(s["n"], s["start_ms"], s["end_ms"]) for s in json.loads(found.given_spans)]


def test_spans_are_read_to_the_millisecond() -> None:
    assert spans_of(released()) == [(0, 1500, 9250), (7, 3_600_000, 3_612_000)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("00:00:01.5", 1500), ("00:00:01.05", 1050), ("0:01.123456", 1123), ("01:02:03", 3_723_000), ("x", None)],
)
def test_the_digits_after_the_point_are_a_fraction(text: str, expected: int | None) -> None:
    assert hdvila.parse_time_ms(text) == expected


def test_spans_that_are_none_are_left_out() -> None:
    bad = [
        {"clip_id": f"{VIDEO}.1.mp4", "span": ["00:00:09.0", "00:00:01.0"]},
        {"clip_id": "another.1.mp4", "span": ["00:00:01.0", "00:00:02.0"]},
        {"clip_id": f"{VIDEO}.x.mp4", "span": ["00:00:01.0", "00:00:02.0"]},
        {"clip_id": f"{VIDEO}.2.mp4", "span": ["00:00:01.0"]},
        "text",
    ]
    assert spans_of(released(clip=bad)) == []


@given(st.text(max_size=100))
def test_a_line_that_is_no_object_never_breaks_the_listing(line: str) -> None:
    found = hdvila.parse_line(line, 3)
    assert not is_site_id(found.video_id) or found.given_spans


def test_texts_come_from_the_second_file_in_any_order(tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    rows = [{"clip_id": f"{VIDEO}.7.mp4", "text": "seven"}, {"clip_id": f"{VIDEO}.0.mp4", "text": "zero – ü"}]
    texts.write_text(
        "no json\n" + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    nobody = hdvila.parse_line("nonsense", 1)
    found, odd = hdvila.with_texts([hdvila.parse_line(released(), 0), nobody], (texts,))
    assert odd == nobody
    assert [span["text"] for span in json.loads(found.given_spans)] == ["zero – ü", "seven"]

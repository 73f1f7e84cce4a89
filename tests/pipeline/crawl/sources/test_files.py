"""The sources that are read from files: ids and the released HD-VILA-100M lists."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import UserError
from manifests.origin import is_site_id, video_id_of
from pipeline.crawl.sources import channel, hdvila, ids, playlist, search

VIDEO = "dQw4w9WgXcQ"


@pytest.mark.parametrize(
    "text",
    [
        VIDEO,
        f"https://www.youtube.com/watch?v={VIDEO}",
        f"https://m.youtube.com/watch?v={VIDEO}&t=3s",
        f"https://youtu.be/{VIDEO}?si=x",
        f"https://www.youtube.com/shorts/{VIDEO}",
        f"https://www.youtube.com/embed/{VIDEO}",
        f"youtube.com/watch?v={VIDEO}",
    ],
)
def test_every_way_to_write_a_video_gives_its_id(text: str) -> None:
    assert video_id_of(text) == VIDEO


@pytest.mark.parametrize("text", ["", "short", "https://example.org/watch?v=" + VIDEO, "../../etc/passwd", VIDEO + "x"])
def test_what_is_no_video_gives_none(text: str) -> None:
    assert video_id_of(text) == ""


@given(st.text(max_size=200))
def test_no_line_breaks_the_reader(text: str) -> None:
    found = video_id_of(text)
    assert found == "" or is_site_id(found)


def test_a_list_of_ids_goes_on_from_any_line(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(f"# mine\n{VIDEO}\n\nhttps://youtu.be/aaaaaaaaaaa # why\nnonsense\n")
    whole = list(ids.list_file(path, 0))
    assert [one.video_id for one, _ in whole] == [VIDEO, "aaaaaaaaaaa", "nonsense"]
    rest = list(ids.list_file(path, whole[0][1]))
    assert [one.video_id for one, _ in rest] == ["aaaaaaaaaaa", "nonsense"]


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(ids.list_file(tmp_path / "none.txt", 0))


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


def test_addresses_of_lists() -> None:
    assert search.url_of("car & boat", "EgIQAQ==").endswith("results?search_query=car%20%26%20boat&sp=EgIQAQ%3D%3D")
    assert search.url_of("a", "").endswith("search_query=a")
    assert channel.url_of("@some.one") == "https://www.youtube.com/@some.one/videos"
    own = "UCabcdefghijklmnopqrstuv"
    assert channel.url_of(own) == channel.url_of(f"https://www.youtube.com/channel/{own}/about")
    assert playlist.url_of("https://www.youtube.com/playlist?list=PLabcdefghijklm").endswith("list=PLabcdefghijklm")
    for wrong in ("https://example.org/@x", "not a channel"):
        with pytest.raises(UserError, match="is not a channel"):
            channel.url_of(wrong)
    with pytest.raises(UserError, match="is not a playlist"):
        playlist.url_of("x")

"""WebVTT, SubRip and json3 files: what a copy, a live row, a time and a binary file are, at the bounds."""

import json

import pytest

from pipeline.text.captions import BrokenTrack, markup, read_track
from pipeline.text.captions.json3 import read_json3
from pipeline.text.captions.track import Row
from pipeline.text.captions.vtt import read_vtt


def at(ms: int) -> str:
    return f"00:{ms // 60_000:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def a_vtt(*cues: tuple[int, int, str]) -> str:
    return "WEBVTT\n\n" + "\n\n".join(f"{at(a)} --> {at(b)}\n{text}" for a, b, text in cues) + "\n"


def said(*cues: tuple[int, int, str]) -> list[str]:
    return [row.text for row in read_vtt(a_vtt(*cues)).rows]


def live(n_stray: int, n_inside: int) -> str:
    cues = [(10_000 * i, 10_000 * i + 900, f"w<{at(55_555)}>x{i}") for i in range(n_stray)]
    return a_vtt(
        *cues, *((200_000 + 1000 * i, 200_900 + 1000 * i, f"a<{at(200_500 + 1000 * i)}> b{i}") for i in range(n_inside))
    )


def live_rows(*cues: tuple[int, int, str]) -> list[Row]:
    """The rows of these cues in a live track: one with stamps on another clock, in two cues that follow."""
    strays = [(60_000 * i, 60_000 * i + 900, f"{i}{i}<{at(55_555)}>z") for i in (8, 9)]
    rows = read_vtt(a_vtt(*cues, *strays))
    assert rows.drop_times
    return rows.rows[:-2]


def rows_of_live(*cues: tuple[int, int, str]) -> list[tuple[int, int | None, str]]:
    return [(row.start_ms, row.end_ms, row.text) for row in live_rows(*cues)]


def test_a_live_row_that_is_edited_in_place_comes_once_with_the_times_of_its_parts() -> None:
    grown = rows_of_live((0, 900, "so it"), (1000, 1900, "so it goes"), (2000, 2900, "so it goes\nand on"))
    assert grown == [(0, 1900, "so it goes"), (2000, 2900, "and on")]
    corrected = rows_of_live((0, 900, "so it gose"), (1000, 1900, "so it goes on"))
    assert corrected == [(0, 1900, "so it goes on")]
    assert rows_of_live((0, 900, "abcdefghij"), (1000, 1900, "abcdefXXXX")) == [(0, 1900, "abcdefXXXX")]
    assert len(rows_of_live((0, 900, "abcdefghij"), (1000, 1900, "abcdeXXXXX"))) == 2, (
        "less than six tenths are the same"
    )
    assert len(rows_of_live((0, 900, "so"), (1000, 1900, "so"), (2000, 2900, "no"), (3000, 3900, "so"))) == 3
    assert len(rows_of_live((0, 900, "no"), (1000, 1900, "no\nno"))) == 2, "a row excuses one repeat"


@pytest.mark.parametrize(
    ("text", "hint", "format"),
    [
        ("1\n00:00:01,000 --> 00:00:02,000\na\n", "", "srt"),
        ("00:00:01.000 --> 00:00:02.000\na\n", "", "vtt"),
        ("00:00:01.000 --> 00:00:02.000\na\n", "srt", "srt"),
        ("1\n00:00:01,000 --> 00:00:02,000\na\n", "vtt", "vtt"),
        ("\nWEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\na\n", "srt", "vtt"),
        ("x\n00:00:01.000 --> 00:00:02.000\na\n", "", "vtt"),
    ],
)
def test_a_format_is_told_by_what_stands_in_a_file_and_a_hint_decides_between_two(
    text: str, hint: str, format: str
) -> None:
    assert read_track(text.encode(), format=hint).format == format


def test_a_vtt_header_names_the_language() -> None:
    cue = "00:01.000 --> 00:02.000\nLanguage: no\n"
    assert read_vtt(f"WEBVTT\nKind: captions\nLanguage: fr\n\n{cue}").language == "fr"
    assert read_vtt(f"WEBVTT\n\n{cue}").language == "", "what is said is no head"


def event(start: object = 0, *segs: tuple[str, object], duration: object = None, **more: object) -> dict[str, object]:
    parts = [{"utf8": text} | ({} if offset is None else {"tOffsetMs": offset}) for text, offset in segs]
    return {"tStartMs": start, "segs": parts} | ({} if duration is None else {"dDurationMs": duration}) | more


def test_json3_times_may_be_quoted_or_fractions_and_are_less_than_thirty_years() -> None:
    [row] = read_json3(json.dumps({"events": [event("1000", ("a", None), (" b", 300.6), duration="900")]})).rows
    assert (row.start_ms, row.end_ms, row.inner_times) == (1000, 1900, 1)
    assert [tuple(piece) for piece in row.pieces] == [("a", 1000), (" b", 1301)]
    most = 10**12
    assert read_json3(json.dumps({"events": [event(most - 1, ("a", None))]})).rows[0].start_ms == most - 1
    for bad in (most, -most, "x", None, [], 1e400):
        with pytest.raises(BrokenTrack, match=r"event 0: .* is not a time"):
            read_json3(json.dumps({"events": [event(bad, ("a", None))]}))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([1], "not json3"), ({"events": {}}, "not json3"), ({"events": [1]}, "event 0 is not an object"),
        ({"events": [{}, {"segs": 5}]}, "event 1: segs is not a list"),
        ({"events": [{"segs": [5]}]}, "event 0: a seg without text"),
        ({"events": [{"segs": [{"utf8": 5}]}]}, "event 0: a seg without text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_json3_is_named_with_its_event(document: object, words: str) -> None:
    with pytest.raises(BrokenTrack, match=words):
        read_json3(json.dumps(document))


def test_a_file_is_text_where_few_of_its_characters_are_unreadable() -> None:
    good = b"a" * 397
    assert markup.decode_text(good + b"\xff" * 4).count("\ufffd") == 4, "two, and one more in each two hundred"
    with pytest.raises(BrokenTrack, match="not UTF-8"):
        markup.decode_text(good + b"\xff" * 5)
    with pytest.raises(BrokenTrack, match="binary"):
        markup.decode_text(b"a" * 4095 + b"\x00")
    assert markup.decode_text(b"a" * 4096 + b"\x00").endswith("\x00")
    assert markup.decode_text("é\r\nb\rc".encode("utf-16")) == "é\nb\nc"


def test_marks_and_bytes_are_counted_before_anything_is_made_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "MAX_MARKS", {"{": 2})
    monkeypatch.setattr(markup, "MAX_BYTES", 9)
    assert markup.decode_text(b"{{aaaaaaa") == "{{aaaaaaa"
    with pytest.raises(BrokenTrack, match=r"has 3 '\{' characters; the limit is 2"):
        markup.decode_text(b"{{{")
    with pytest.raises(BrokenTrack, match="has 10 bytes; the limit is 9"):
        markup.decode_text(b"a" * 10)

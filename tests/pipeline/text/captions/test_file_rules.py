"""WebVTT, SubRip and json3 files: what a copy, a live row, a time and a binary file are, at the bounds."""

import json

import pytest

from pipeline.text.captions import BrokenTrack, markup, read_track
from pipeline.text.captions.json3 import read_json3
from pipeline.text.captions.track import Row
from pipeline.text.captions.vtt import read_srt, read_vtt


def at(ms: int) -> str:
    return f"00:{ms // 60_000:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def a_vtt(*cues: tuple[int, int, str]) -> str:
    return "WEBVTT\n\n" + "\n\n".join(f"{at(a)} --> {at(b)}\n{text}" for a, b, text in cues) + "\n"


def said(*cues: tuple[int, int, str]) -> list[str]:
    return [row.text for row in read_vtt(a_vtt(*cues)).rows]


@pytest.mark.parametrize(("length_ms", "rolls"), [(60, True), (61, False)])
def test_a_cue_of_up_to_60_ms_that_shows_the_same_is_a_copy(length_ms: int, rolls: bool) -> None:
    end = 1000 + length_ms
    cues = [(0, 1000, "one two"), (1000, end, "one two"), (end, 2000, "three")]
    assert (read_vtt(a_vtt(*cues)).kind == "auto") == rolls
    assert said(*cues) == (["one two", "three"] if rolls else ["one two", "one two", "three"])


@pytest.mark.parametrize(("n", "rolls"), [(5, True), (6, False)])
def test_a_track_rolls_where_a_fifth_of_its_cues_repeat_the_row_before(n: int, rolls: bool) -> None:
    cues = [
        (0, 900, "row"),
        (1000, 1900, "row\nnext"),
        *((1000 * i, 1000 * i + 900, f"row {i}") for i in range(2, n + 1)),
    ]
    assert (read_vtt(a_vtt(*cues)).kind == "auto") == rolls
    swapped = [(0, 900, "row"), (1000, 1900, "next\nrow")]
    assert read_vtt(a_vtt(*swapped)).kind == "", "it is the last row that moves up"


def live(n_stray: int, n_inside: int) -> str:
    cues = [(10_000 * i, 10_000 * i + 900, f"w<{at(55_555)}>x{i}") for i in range(n_stray)]
    return a_vtt(
        *cues, *((200_000 + 1000 * i, 200_900 + 1000 * i, f"a<{at(200_500 + 1000 * i)}> b{i}") for i in range(n_inside))
    )


@pytest.mark.parametrize(
    ("n_stray", "n_inside", "is_live"), [(2, 37, True), (2, 38, False), (1, 0, False), (2, 0, True), (0, 3, False)]
)
def test_stamps_on_another_clock_are_those_of_a_live_track(n_stray: int, n_inside: int, is_live: bool) -> None:
    """More than one in twenty, and more than one."""
    assert read_vtt(live(n_stray, n_inside)).drop_times == is_live


@pytest.mark.parametrize(("stamp_ms", "stray"), [(999, False), (998, True), (2001, False), (2002, True)])
def test_a_stamp_lies_in_its_cue_to_a_millisecond(stamp_ms: int, stray: bool) -> None:
    cues = [(1000, 2000, f"a<{at(stamp_ms)}> b<{at(stamp_ms)}> c")]
    assert read_vtt(a_vtt(*cues)).drop_times == stray


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
    ("a", "b", "n"), [("", "x", 0), ("abc", "abc", 3), ("abc", "abd", 2), ("ab", "abcd", 2), ("x", "a", 0)]
)
def test_what_a_live_row_keeps_has_the_time_of_its_first_cue(a: str, b: str, n: int) -> None:
    long = "same " * 49 + "same:"
    for before, after in ((a, b), (b, a)):
        (row,) = live_rows((0, 900, long + before), (1000, 1900, long + after))
        pieces = [(piece.text, piece.start_ms) for piece in row.pieces if piece.text]
        assert pieces == [(long + before[:n], 0), *([(after[n:], 1000)] if after[n:] else [])]


def test_srt_has_no_comments_and_vtt_no_words_in_them() -> None:
    text = "00:00:01,000 --> 00:00:02,000\nso\n\nNOTE this is said\n"
    assert [row.text for row in read_srt(text).rows] == ["so\nNOTE this is said"]
    assert [row.text for row in read_vtt("WEBVTT\n\n" + text.replace(",", ".")).rows] == ["so"]
    for read in (read_srt, read_vtt):
        with pytest.raises(BrokenTrack, match="holds no cue"):
            read("nothing")


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


def test_json3_rows_without_spaces_between_their_words_get_them() -> None:
    glued = json.dumps({"events": [event(0, ("ice", None), ("-cream", 100), ("is", 200), ("good", 300))]})
    assert read_json3(glued).rows[0].text == "ice-cream is good"
    spaced = json.dumps({"events": [event(0, ("so ", None), ("it", 100)), event(500, ("un", None), ("do", 100))]})
    assert [row.text for row in read_json3(spaced).rows] == ["so it", "undo"], "a file that has spaces means them"
    assert read_json3(json.dumps({"events": [event(0, ("a", None), aAppend=1)]})).kind == "auto"


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

"""From rows of timed pieces to words: each rule at its bounds, whatever the format."""

from collections.abc import Sequence

import pytest

from pipeline.text.captions import BrokenTrack, words
from pipeline.text.captions.track import Piece, Row, Rows, Track
from pipeline.text.captions.words import build_track, ends_with_mark


def row(start_ms: int, text: str, end_ms: int | None = None, **facts: object) -> Row:
    return Row(start_ms, end_ms, [Piece(text, start_ms)], **facts)  # type: ignore[arg-type]


def timed(start_ms: int, *pieces: tuple[str, int], end_ms: int | None = None) -> Row:
    """A row whose words have stamps of their own."""
    parts = [Piece(text, ms) for text, ms in pieces]
    return Row(start_ms, end_ms, parts, inner_times=len(parts) - 1)


def built(*rows: Row, kind: str = "", file_kind: str = "", live: bool = False) -> Track:
    return build_track(Rows(list(rows), "vtt", kind=file_kind, language="de", drop_times=live), kind=kind, language="")


def spans(track: Track) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_ms, word.end_ms) for word in track.words]


def songs(track: Track) -> list[tuple[int, int]]:
    return [(event.start_ms, event.end_ms) for event in track.events if event.text == "♪"]


@pytest.mark.parametrize("text", ["a b c d", "a [b] c", "♪ a ♪", "♪♪"])
def test_a_track_of_more_words_and_marks_than_the_most_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark costs as much as two words, since it may make an event and part a word."""
    cost = len(text.split()) + 2 * sum(char in "[♪" for char in text)
    monkeypatch.setattr(words, "MAX_TOKENS", cost)
    assert built(row(0, text, 900)).format == "vtt"
    monkeypatch.setattr(words, "MAX_TOKENS", cost - 1)
    with pytest.raises(BrokenTrack, match="words and marks") as caught:
        built(row(0, text, 900))
    assert caught.value.reason.value == "too_long"


def test_a_mark_counts_behind_quotes_and_brackets_too() -> None:
    assert all(ends_with_mark(text) for text in ("end.", "end?”", "end.')", "end!»", "end。"))
    assert all(ends_with_mark(text) for text in ("कहा।", "چلا۔", "ذهب؟", "行きます。」", "ነው።", "է։", "ទៅ។", "去！）"))
    assert not any(ends_with_mark(text) for text in ("end", "end,", ".end", '"', ""))


def stamped_row(start_ms: int, gaps_ms: Sequence[int]) -> Row:
    """A row with so much from each word's start to the next."""
    at, pieces = start_ms, [("w0", start_ms)]
    for n, gap in enumerate(gaps_ms, 1):
        at += gap
        pieces.append((f" w{n}", at))
    return timed(start_ms, *pieces)


@pytest.mark.parametrize(
    ("rows", "made_up"),
    [
        ([[50, 100, 100, 102]], True),
        ([[50, 100, 100, 103]], False),
        ([[50, 100, 100]], False),
        ([[50, 100, 100, 100], [50, 100, 200, 300]], False),
        ([[50, 100, 100, 100], [50, 100, 200, 300], [50, 90, 90, 90]], True),
        ([[50, 100, 100, 100], [50, 100, 200]], True),
    ],
)
def test_times_are_made_up_where_most_rows_have_four_even_ones_after_the_first(
    rows: list[list[int]], made_up: bool
) -> None:
    track = built(*(stamped_row(2000 * n, gaps) for n, gaps in enumerate(rows)))
    assert (track.false_times, track.word_timed) == (made_up, not made_up)


def test_rows_that_each_stay_while_the_next_is_shown_are_an_automatic_track() -> None:
    def shown(n: int, *, over: int, text: str = "some words") -> Track:
        return built(*(row(1000 * i, text, 1000 * i + (1500 if i < over else 1000)) for i in range(n)))

    assert shown(5, over=4).kind == "auto" and shown(5, over=2).kind == "auto"
    assert shown(5, over=1).kind == "manual" and shown(4, over=3).kind == "manual"
    assert shown(5, over=4, text="two\nlines").kind == "manual" and shown(5, over=4, text="one line\n").kind == "auto"
    together = [row(0, "some words", 900)] * 6
    assert built(*together).kind == "manual", "what starts together does not overlap"
    assert built(*(row(1000 * i, "some words") for i in range(6))).kind == "manual"


def test_a_song_lasts_from_note_to_note() -> None:
    assert songs(built(row(0, "♪ la la ♪", 900))) == [(0, 900)]
    assert songs(built(row(0, "♪ la", 900), row(1000, "la", 1900), row(2000, "la ♪", 2900))) == [(0, 2900)]
    assert songs(built(row(0, "♪", 900), row(1000, "so", 1900))) == [(0, 900)], "a note alone is a sound of its own"
    assert songs(built(row(0, "♪ la", 900), row(1000, "♪", 1900))) == [(0, 1900)]
    assert songs(built(row(0, "♪ la", 900), row(1000, "so", 1900))) == [(0, 900)], "an open song ends with its row"
    ((begin, end),) = songs(built(row(0, "so ♪ la la", 900), row(1000, "la ♪", 1900)))
    assert 0 < begin < 900 and end == 1900


def test_a_word_has_the_stamp_of_its_piece_and_the_others_of_that_piece_lie_after_it() -> None:
    track = built(timed(0, ("one", 0), (" two three", 500), (" four", 1500)))
    assert [(word.text, word.start_ms, word.timed) for word in track.words] == [
        ("one", 0, True),
        ("two", 500, True),
        ("three", 500 + 1000 * 4 // 10, False),
        ("four", 1500, True),
    ]


def test_words_without_stamps_share_a_row_by_their_letters() -> None:
    assert spans(built(row(1000, "a bcd efg", 2000))) == [("a", 1000, 1200), ("bcd", 1200, 1600), ("efg", 1600, 2000)]
    assert spans(built(row(1000, "ab cd")))[-1][2] == 1000 + 2 * (300 + 2 * 80), "as long as they can last"
    assert spans(built(row(1000, "ab cd", 9000)))[-1][2] == 1920
    assert spans(built(row(1000, "ab cd", 9000), row(1500, "e", 9000)))[1][2] == 1500


def test_credits_are_looked_for_in_three_rows_at_either_end_and_not_where_words_are_timed() -> None:
    def credits(at: int, n: int = 9) -> int:
        rows = [row(1000 * i, "Subtitles by Anna" if i == at else "so it goes", 1000 * i + 900) for i in range(n)]
        return sum(event.kind == "credit" for event in built(*rows).events)

    assert [credits(at) for at in range(9)] == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    heard = built(timed(0, ("Subtitles", 0), (" by", 300), (" Anna", 500)))
    assert [word.text for word in heard.words] == ["Subtitles", "by", "Anna"] and not heard.events


def test_marks_alone_go_to_the_word_before_or_where_they_open_something_to_the_one_after() -> None:
    assert [w.text for w in built(row(0, "so “ it goes ” on .", 2000)).words] == ["so", "“it", "goes”", "on."]
    assert [w.text for w in built(row(0, "... so it", 2000)).words] == ["so", "it"]

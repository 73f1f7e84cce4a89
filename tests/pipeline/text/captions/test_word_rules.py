"""From rows of timed pieces to words: each rule at its bounds, whatever the format."""

from collections.abc import Sequence

import pytest

from pipeline.text.captions import BrokenTrack, words
from pipeline.text.captions.track import Piece, Row, Rows, Track, Word
from pipeline.text.captions.words import build_track, ends_with_mark, in_time_order, share_final


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


def test_pieces_without_words_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MAX_TOKENS", 3)
    assert spans(built(timed(0, ("a", 0), ("", 5), ("", 9))))[0][0] == "a"
    with pytest.raises(BrokenTrack):
        built(timed(0, ("a", 0), ("", 5), ("", 9), ("", 12)))


def test_a_kind_that_is_given_stays_and_else_times_and_the_file_tell() -> None:
    plain = [row(0, "one two", 900), row(1000, "three four", 1900)]
    assert built(*plain).kind == "manual" and built(*plain, file_kind="auto").kind == "auto"
    assert built(*plain, kind="auto").kind == "auto" and built(*plain, live=True).kind == "auto"
    assert built(*plain, kind="manual", file_kind="auto").kind == "manual"
    stamped = timed(0, ("one", 0), (" two", 300))
    assert built(stamped).kind == "auto" and built(stamped).word_timed
    assert built(stamped).language == "de"
    assert build_track(Rows([stamped], "vtt", language="de"), kind="", language="fr").language == "fr"


@pytest.mark.parametrize(("n_words", "punctuated"), [(100, True), (101, False)])
def test_a_track_is_punctuated_from_one_mark_in_a_hundred_words_on(n_words: int, punctuated: bool) -> None:
    track = built(row(0, "end. " + "word " * (n_words - 1), 90_000))
    assert track.punctuated == punctuated
    assert share_final([Word("a.", 0, 1, True), Word("b", 1, 2, True)]) == 0.5 and share_final([]) == 0


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


def test_words_are_timed_where_half_of_the_rows_of_several_are_stamped() -> None:
    stamped, plain = timed(0, ("one", 0), (" two", 300)), row(1000, "three four", 1900)
    assert built(stamped, plain).word_timed
    assert not built(stamped, plain, row(2000, "five six", 2900)).word_timed
    assert built(stamped, plain, row(2000, "five", 2900)).word_timed, "a row of one word tells nothing"
    assert built(row(0, "one"), row(500, "two"), file_kind="auto").word_timed
    assert not built(row(0, "one"), row(500, "two")).word_timed


def test_rows_that_each_stay_while_the_next_is_shown_are_an_automatic_track() -> None:
    def shown(n: int, *, over: int, text: str = "some words") -> Track:
        return built(*(row(1000 * i, text, 1000 * i + (1500 if i < over else 1000)) for i in range(n)))

    assert shown(5, over=4).kind == "auto" and shown(5, over=2).kind == "auto"
    assert shown(5, over=1).kind == "manual" and shown(4, over=3).kind == "manual"
    assert shown(5, over=4, text="two\nlines").kind == "manual" and shown(5, over=4, text="one line\n").kind == "auto"
    together = [row(0, "some words", 900)] * 6
    assert built(*together).kind == "manual", "what starts together does not overlap"
    assert built(*(row(1000 * i, "some words") for i in range(6))).kind == "manual"


def test_a_typed_track_may_begin_with_a_sound() -> None:
    assert spans(built(row(0, "[Music]", 900), row(1000, "so", 1200), live=True)) == [("so", 1000, 1200)]


def test_rows_that_start_together_are_spoken_one_after_the_other() -> None:
    track = built(row(0, "aaa", 1000), row(0, "bbb", 1000), row(0, "ccc", 1000), row(1000, "d", 1200))
    assert spans(track) == [("aaa", 0, 333), ("bbb", 333, 666), ("ccc", 666, 1000), ("d", 1000, 1200)]


def test_a_song_lasts_from_note_to_note() -> None:
    assert songs(built(row(0, "♪ la la ♪", 900))) == [(0, 900)]
    assert songs(built(row(0, "♪ la", 900), row(1000, "la", 1900), row(2000, "la ♪", 2900))) == [(0, 2900)]
    assert songs(built(row(0, "♪", 900), row(1000, "so", 1900))) == [(0, 900)], "a note alone is a sound of its own"
    assert songs(built(row(0, "♪ la", 900), row(1000, "♪", 1900))) == [(0, 1900)]
    assert songs(built(row(0, "♪ la", 900), row(1000, "so", 1900))) == [(0, 900)], "an open song ends with its row"
    ((begin, end),) = songs(built(row(0, "so ♪ la la", 900), row(1000, "la ♪", 1900)))
    assert 0 < begin < 900 and end == 1900


def test_a_note_in_the_middle_ends_the_song_that_is_open() -> None:
    ((begin, end),) = songs(built(row(0, "♪ la la la ♪ so it", 1000)))
    assert begin == 0 and 300 < end < 900


@pytest.mark.parametrize(("at_ms", "n"), [(20_900, 1), (20_901, 2)])
def test_notes_belong_together_over_at_most_twenty_seconds(at_ms: int, n: int) -> None:
    """From when the row with the first one left the screen."""
    found = songs(built(row(0, "♪ la", 900), row(at_ms, "la ♪", at_ms + 500)))
    assert len(found) == n or found == [(at_ms, at_ms + 500)]
    assert (found[0][0] == 0) == (n == 1)


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


def test_words_never_go_back_nor_pass_the_next() -> None:
    given = [Word("a", 0, 900, True), Word("b", 500, 400, True), Word("c", 300, 800, False), Word("d", 900, 950, True)]
    assert in_time_order(given) == [
        Word("a", 0, 500, True),
        Word("b", 500, 500, True),
        Word("c", 500, 800, False),
        Word("d", 900, 950, True),
    ]
    assert in_time_order([Word("a", 5, 9, True)]) == [Word("a", 5, 9, True)]

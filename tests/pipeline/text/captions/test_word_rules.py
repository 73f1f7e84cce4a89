"""From rows of timed pieces to words: each rule at its bounds, whatever the format."""

import pytest

from pipeline.text.captions import BrokenTrack, words
from pipeline.text.captions.track import Piece, Row, Rows, Track
from pipeline.text.captions.words import build_track


def row(start_ms: int, text: str, end_ms: int | None = None, **facts: object) -> Row:
    return Row(start_ms, end_ms, [Piece(text, start_ms)], **facts)  # type: ignore[arg-type]


def timed(start_ms: int, *pieces: tuple[str, int], end_ms: int | None = None) -> Row:
    """A row whose words have stamps of their own."""
    parts = [Piece(text, ms) for text, ms in pieces]
    return Row(start_ms, end_ms, parts, inner_times=len(parts) - 1)


def built(*rows: Row, kind: str = "", file_kind: str = "", live: bool = False) -> Track:
    return build_track(Rows(list(rows), "vtt", kind=file_kind, language="de", drop_times=live), kind=kind, language="")


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

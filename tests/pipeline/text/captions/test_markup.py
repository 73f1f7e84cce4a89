"""What all caption formats share: bytes to text, entities, spaces, tags."""

import pytest

from pipeline.text.captions.markup import MAX_BYTES, decode_text, strip_tags, unescape
from pipeline.text.captions.track import BrokenTrack


@pytest.mark.parametrize("data", [b"a\r\nb\rc", "\ufeffa\nb\nc".encode(), "a\nb\nc".encode("utf-16")])
def test_every_encoding_and_line_end_gives_the_same_text(data: bytes) -> None:
    assert decode_text(data) == "a\nb\nc"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b" \n", "empty"),
        (b"x" * (MAX_BYTES + 1), "the limit is"),
        (b"ab\0cd", "binary"),
        (b"\xff\x80\x81" * 40, "not UTF-8"),
        (b"<!DOCTYPE html><p>", "HTML page"),
        (b"{" * 300_001, "the limit is"),
    ],
)
def test_what_is_no_caption_file_is_one_clear_reject(data: bytes, words: str) -> None:
    with pytest.raises(BrokenTrack, match=words):
        decode_text(data)


def test_entities_are_decoded_twice_and_a_tag_starts_with_a_letter() -> None:
    assert unescape("a&amp;#39;b&nbsp;c\u200bd") == "a'b cd"
    assert unescape("a\x00b") == "ab" and unescape("a&#0;b") == "a\ufffdb"
    assert unescape("&#99999999999;") == "\ufffd"
    assert strip_tags("<c.red>a</c> < b <i>{\\an8}c") == "a < b c"
    assert (strip_tags("<i>a</i>"), strip_tags("{\\an8}b"), strip_tags("c")) == ("a", "b", "c")


def test_a_tab_is_a_space() -> None:
    assert unescape("a\tb") == "a b"

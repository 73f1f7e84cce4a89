"""Cue blocks of WebVTT and SubRip, read leniently."""

import pytest

from pipeline.text.captions.cues import read_cues, stamp_ms


@pytest.mark.parametrize(
    ("stamp", "ms"),
    [((None, "1", "2", "5"), 62_500), (("1", "0", "0", "007"), 3_600_007), (("100", "59", "59", "99"), 363_599_990)],
)
def test_stamps_are_milliseconds(stamp: tuple[str, str, str, str], ms: int) -> None:
    assert stamp_ms(*stamp) == ms


def test_comments_and_names_of_vtt_are_no_text_and_a_spoken_number_stays() -> None:
    text = "WEBVTT\nhead\n\nintro\n00:01.000 --> 00:02.000\na\n\nNOTE not said\nnor this\n\nthe name\n"
    text += "00:03.000 --> 00:04.000\n7\n\n"
    assert [(c.start_ms, c.lines) for c in read_cues(text, comments=True)] == [(1000, ["a"]), (3000, ["7"])]


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_of_srt_are_no_text_with_or_without_a_blank_line(first: int) -> None:
    text = f"{first}\n00:00:01,000 --> 00:00:02,000\na\n{first + 1}\n00:00:03,000 --> 00:00:04,000\nNOTE b\n\n"
    text += f"{first + 2}\n"
    text += "00:00:05,000 --> 00:00:06,000\nc\n"
    assert [c.lines for c in read_cues(text, comments=False)] == [["a"], ["NOTE b"], ["c"]]


def test_a_count_that_begins_again_at_0_goes_on_with_1() -> None:
    text = "00:00:01,000 --> 00:00:02,000\na\n\n0\n00:00:03,000 --> 00:00:04,000\nb\n1\n"
    text += "00:00:05,000 --> 00:00:06,000\nc\n"
    assert [c.lines for c in read_cues(text, comments=False)] == [["a"], ["b"], ["c"]]


def test_a_count_may_begin_at_0_with_the_second_cue() -> None:
    text = "00:00:01,000 --> 00:00:02,000\na\n0\n00:00:03,000 --> 00:00:04,000\nb\n"
    assert [c.lines for c in read_cues(text, comments=False)] == [["a"], ["b"]]


def test_a_time_line_at_the_top_of_the_file_may_be_followed_by_another() -> None:
    text = "00:00:01,000 --> 00:00:02,000\n00:00:03,000 --> 00:00:04,000\nb"
    assert [c.lines for c in read_cues(text, comments=True)] == [[], ["b"]]


def test_below_a_blank_line_any_number_is_an_identifier_and_below_text_only_the_next_of_the_count() -> None:
    far = "1\n00:00:01,000 --> 00:00:02,000\na\n\n7\n00:00:03,000 --> 00:00:04,000\nb\nc\n"
    assert [c.lines for c in read_cues(far, comments=False)] == [["a"], ["b", "c"]]
    spoken = "1\n00:00:01,000 --> 00:00:02,000\na\n9\n00:00:03,000 --> 00:00:04,000\nb\n\n"
    assert [c.lines for c in read_cues(spoken, comments=False)] == [["a", "9"], ["b"]]


@pytest.mark.parametrize(("number", "said"), [("12345678", ["a"]), ("123456789", ["a", "123456789"])])
def test_a_number_of_nine_digits_counts_no_cues(number: str, said: list[str]) -> None:
    text = f"1\n00:00:01,000 --> 00:00:02,000\na\n\n{number}\n00:00:03,000 --> 00:00:04,000\nb\n"
    assert [c.lines for c in read_cues(text, comments=False)] == [said, ["b"]]


def test_words_below_a_blank_line_are_a_name_in_vtt_alone_and_only_if_the_cue_has_other_words() -> None:
    text = "00:01.000 --> 00:02.000\na\n\nstill said\n00:03.000 --> 00:04.000\nb\n"
    assert [c.lines for c in read_cues(text, comments=False)] == [["a", "still said"], ["b"]]
    assert [c.lines for c in read_cues(text, comments=True)] == [["a"], ["b"]]
    late = "00:01.000 --> 00:02.000\n\nsaid late\n00:03.000 --> 00:04.000\nb\n"
    assert [c.lines for c in read_cues(late, comments=True)] == [["said late"], ["b"]]

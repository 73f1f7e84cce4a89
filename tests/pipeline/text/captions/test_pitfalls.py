"""The pitfall table of caption files, one test a row: what naive readers get wrong, and what is right."""

import json

import pytest

from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions import BrokenTrack, Track, read_track


def vtt(*cues: str, head: str = "WEBVTT") -> Track:
    return read_track("\n\n".join([head, *cues, ""]).encode())


def json3(*events: dict) -> Track:
    return read_track(json.dumps({"wireMagic": "pb3", "events": list(events)}).encode())


def texts(track: Track) -> list[str]:
    return [word.text for word in track.words]


def starts(track: Track) -> list[tuple[str, int]]:
    return [(word.text, word.start_ms) for word in track.words]


def events(track: Track) -> list[tuple[str, str]]:
    return [(event.kind, event.text) for event in track.events]


ROLLING = (
    "00:00:00.000 --> 00:00:02.000 align:start position:0%\n \ngood<00:00:00.400><c> day</c>",
    "00:00:02.000 --> 00:00:02.010\ngood day\n ",
    "00:00:02.010 --> 00:00:04.000\ngood day\nto<00:00:02.500><c> you</c>",
)


def test_01_a_rolling_track_gives_each_word_once() -> None:
    assert starts(vtt(*ROLLING)) == [("good", 0), ("day", 400), ("to", 2010), ("you", 2500)]


def test_02_the_last_row_before_a_gap_is_kept_though_it_has_no_copy() -> None:
    later = "00:00:09.000 --> 00:00:10.000\n \nagain<00:00:09.500><c> now</c>"
    assert texts(vtt(*ROLLING, later)) == ["good", "day", "to", "you", "again", "now"]


@pytest.mark.parametrize(("start", "said"), [("04.200", 1), ("04.201", 2)])
def test_02_a_row_counts_as_still_shown_until_the_screen_was_clear_for_200_ms(start: str, said: int) -> None:
    again = f"00:00:{start} --> 00:00:06.000\nto you\n "
    assert texts(vtt(*ROLLING, again)).count("you") == said


def test_02_rows_without_tags_that_come_together_are_said_once_each_in_their_order() -> None:
    both = "00:00:05.000 --> 00:00:08.000\nfirst row\nsecond row"
    track = vtt(*ROLLING, both, "00:00:08.000 --> 00:00:08.010\nsecond row\n ")

    assert texts(track) == ["good", "day", "to", "you", "first", "row", "second", "row"]
    assert all(5000 <= word.start_ms < 8000 for word in track.words[4:])


def test_03_a_one_word_row_without_tags_comes_once_at_its_cue_start() -> None:
    track = vtt(
        "00:00:01.000 --> 00:00:02.000\n \nHello.",
        "00:00:02.000 --> 00:00:02.010\nHello.\n ",
        "00:00:02.010 --> 00:00:04.000\nHello.\nSo<00:00:02.500><c> now</c>",
    )
    assert starts(track) == [("Hello.", 1000), ("So", 2010), ("now", 2500)]


def test_04_a_speaker_who_says_no_twice_is_heard_twice() -> None:
    track = vtt(
        "00:00:00.000 --> 00:00:01.000\n \nno",
        "00:00:01.000 --> 00:00:01.010\nno\n ",
        "00:00:01.010 --> 00:00:02.000\nno\nno",
        "00:00:02.000 --> 00:00:02.010\nno\n ",
        "00:00:02.010 --> 00:00:04.000\nno\nnever<00:00:02.500><c> ever</c>",
    )
    assert texts(track) == ["no", "no", "never", "ever"]


def test_05_json3_offsets_are_relative_to_their_event() -> None:
    track = json3({"tStartMs": 5000, "segs": [{"utf8": "a"}, {"utf8": " b", "tOffsetMs": 300}]})
    assert starts(track) == [("a", 5000), ("b", 5300)]
    assert all(word.timed for word in track.words)


def test_06_a_json3_event_that_opens_a_window_is_skipped() -> None:
    window = {"tStartMs": 0, "dDurationMs": 90000, "id": 1, "wpWinPosId": 1}
    track = json3(window, {"tStartMs": 10, "dDurationMs": 900, "segs": [{"utf8": "hi"}]})
    assert starts(track) == [("hi", 10)]


def test_07_a_json3_newline_event_without_duration_is_a_row_break() -> None:
    track = json3(
        {"tStartMs": 0, "segs": [{"utf8": "one"}]},
        {"tStartMs": 9, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 10, "aAppend": 1, "segs": [{"utf8": "two"}]},
    )
    assert texts(track) == ["one", "two"]


def test_08_segs_without_a_space_between_are_one_word_at_the_first_time() -> None:
    track = json3(
        {
            "tStartMs": 0,
            "segs": [
                {"utf8": "cold"},
                {"utf8": " ice", "tOffsetMs": 200},
                {"utf8": "-cream", "tOffsetMs": 400},
            ],
        }
    )
    assert starts(track) == [("cold", 0), ("ice-cream", 200)]


def test_09_a_newline_between_rows_separates_words() -> None:
    track = json3(
        {"tStartMs": 0, "segs": [{"utf8": "the"}, {"utf8": " end", "tOffsetMs": 100}]},
        {"tStartMs": 200, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 210, "segs": [{"utf8": "start"}, {"utf8": " now", "tOffsetMs": 90}]},
    )
    assert texts(track) == ["the", "end", "start", "now"]


def test_10_a_speaker_mark_does_not_take_the_time_of_its_word() -> None:
    track = json3(
        {"tStartMs": 700, "segs": [{"utf8": ">> Welcome", "isSpeakerChange": 1}, {"utf8": " all", "tOffsetMs": 300}]}
    )
    assert starts(track) == [("Welcome", 700), ("all", 1000)]
    assert track.words[0].timed
    assert events(track) == [("speaker_change", ">>")]


def test_11_a_newline_inside_a_manual_cue_is_a_space() -> None:
    assert texts(json3({"tStartMs": 0, "dDurationMs": 900, "segs": [{"utf8": "first line\nsecond line"}]})) == [
        "first",
        "line",
        "second",
        "line",
    ]


def test_12_entities_are_decoded_twice_and_no_further() -> None:
    assert texts(vtt("00:00:00.000 --> 00:00:01.000\na &amp;amp;amp; b")) == ["a", "&amp;", "b"]
    assert texts(vtt("00:00:00.000 --> 00:00:01.000\nit&amp;#39;s me")) == ["it's", "me"]


def test_13_an_escaped_speaker_mark_is_not_a_tag() -> None:
    track = vtt("00:00:00.000 --> 00:00:01.000\n&gt;&gt; Yes")
    assert texts(track) == ["Yes"]
    assert events(track) == [("speaker_change", ">>")]


def test_14_masked_profanity_is_one_token() -> None:
    track = vtt("00:00:00.000 --> 00:00:02.000\nwhat the [&nbsp;__&nbsp;] is this")
    assert texts(track) == ["what", "the", "[__]", "is", "this"]
    assert [kind for kind, _ in events(track)] == ["masked"]


def test_15_no_break_spaces_are_spaces() -> None:
    track = vtt("00:00:00.000 --> 00:00:02.000\nrow one.&nbsp;&nbsp;\nrow\u00a0two")
    assert texts(track) == ["row", "one.", "row", "two"]


def test_16_webvtt_times_may_have_commas_and_no_hours() -> None:
    track = vtt("00:14,059 --> 00:19,619\nhello there")
    assert track.words[0].start_ms == 14059
    assert track.words[-1].end_ms <= 19619


@pytest.mark.parametrize("head", ["\nWEBVTT\n\n", "\ufeffWEBVTT\n\n", "WEBVTT\r\n\r\n", "", "\n\n\n"])
def test_17_blank_lines_a_bom_crlf_or_no_header_do_not_matter(head: str) -> None:
    body = "00:00:01.000 --> 00:00:02.000\nhello\nthere\n\n00:00:03.000 --> 00:00:04.000\nyou\n"
    text = head + (body.replace("\n", "\r\n") if "\r" in head else body)
    assert texts(read_track(text.encode())) == ["hello", "there", "you"]


def test_18_cues_without_a_blank_line_between_are_two_cues() -> None:
    track = read_track(b"WEBVTT\n\n00:01.000 --> 00:02.000\nsame\n00:02.000 --> 00:03.000\nother\n")
    assert starts(track) == [("same", 1000), ("other", 2000)]


def test_19_nested_colour_tags_are_removed_and_no_word_is_lost() -> None:
    track = vtt("00:00:00.000 --> 00:00:02.000\n<c.colorCCCCCC>a<00:00:01.000><c> b</c></c>")
    assert starts(track) == [("a", 0), ("b", 1000)]


def test_20_styles_and_notes_are_not_words() -> None:
    head = "WEBVTT\nKind: captions\nLanguage: en\nStyle:\n::cue(c.x) { color: rgb(1,2,3);\n }\n##\n\nNOTE a remark"
    track = vtt(
        "00:00:00.000 --> 00:00:01.000\nhello", "NOTE another\nremark", "00:02.000 --> 00:03.000\nyou", head=head
    )
    assert texts(track) == ["hello", "you"]
    assert track.language == "en"


def test_21_a_space_at_the_end_of_a_tag_does_not_shift_times() -> None:
    track = vtt("00:00:01.000 --> 00:00:03.000\ndog <00:00:01.500><c>barks </c><00:00:02.000><c>loud</c>")
    assert starts(track) == [("dog", 1000), ("barks", 1500), ("loud", 2000)]


def test_22_evenly_spaced_word_times_are_taken_for_what_they_are() -> None:
    words = ["まず", "は", "ジョー", "サイ", "の", "コメント"]
    inner = "".join(f"<00:00:00.{160 + 80 * i}><c>{word}</c>" for i, word in enumerate(words[1:]))
    track = vtt(f"00:00:00.080 --> 00:00:01.110\n \n{words[0]}{inner}")
    assert track.false_times
    assert not track.word_timed
    assert not any(word.timed for word in track.words)
    assert "".join(texts(track)) == "".join(words)


@pytest.mark.parametrize("sound", ["[Music]", "[музыка]", "[rires]", "(Laughter)", "♪"])
def test_23_sounds_in_any_language_are_events_with_their_time(sound: str) -> None:
    track = vtt(f"00:00:01.000 --> 00:00:02.000\n{sound}", "00:00:03.000 --> 00:00:04.000\nhello there")
    assert texts(track) == ["hello", "there"]
    assert [(event.kind, event.text, event.start_ms) for event in track.events] == [("sound", sound, 1000)]


def test_24_a_sound_inside_a_sentence_leaves_one_sentence() -> None:
    track = vtt("00:00:00.000 --> 00:00:02.000\nThe [music] sun is up.")
    assert texts(track) == ["The", "sun", "is", "up."]
    assert sentence_ends(texts(track)) == [False, False, False, True]


@pytest.mark.parametrize(
    ("cue", "event", "words"),
    [
        ("The President:\nThis week", ("speaker", "The President"), ["This", "week"]),
        ("JLM : bonjour à tous", ("speaker", "JLM"), ["bonjour", "à", "tous"]),
        ("- Hi there", ("speaker_change", "-"), ["Hi", "there"]),
    ],
)
def test_25_speaker_labels_are_not_spoken(cue: str, event: tuple[str, str], words: list[str]) -> None:
    track = vtt(f"00:00:00.000 --> 00:00:02.000\n{cue}")
    assert texts(track) == words
    assert events(track) == [event]


def test_26_credits_are_dropped_into_events() -> None:
    track = vtt("00:00:00.000 --> 00:00:07.000\nTranscriber: A B\nReviewer: C D", "00:08.000 --> 00:09.000\nWow.")
    assert texts(track) == ["Wow."]
    assert [kind for kind, _ in events(track)] == ["credit", "credit"]


def test_27_cues_that_go_back_are_sorted_and_ends_before_starts_are_cut() -> None:
    track = vtt("00:05.000 --> 00:04.000\nsecond one", "00:01.000 --> 00:02.000\nfirst one")
    assert texts(track) == ["first", "one", "second", "one"]
    assert all(word.end_ms >= word.start_ms for word in track.words)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  \n",
        b'{"events": [{"tStartMs": 5, "segs": [{"ut',
        b'{"error": "no"}',
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"<html><p>no</p></html>",
        b'<?xml version="1.0"?><timedtext format="3"><body><p t="1">cut',
        b'<!DOCTYPE x [<!ENTITY a "b">]><transcript><text start="0">&a;</text></transcript>',
        b"WEBVTT\n\n",
        b"\x00\x01\x02\x03",
        b'{"events": []}',
    ],
)
def test_28_a_broken_track_is_one_clear_reject(data: bytes) -> None:
    with pytest.raises(BrokenTrack) as caught:
        read_track(data)
    assert caught.value.reason.value == "broken_captions"
    assert "\n" not in caught.value.detail


def test_29_an_srt_number_glued_to_the_text_is_not_a_word() -> None:
    track = read_track(
        b"1\n00:00:01,000 --> 00:00:02,000\nsix\n2\n00:00:03,000 --> 00:00:04,000\nand\n7\n\n"
        b"3\n00:00:05,000 --> 00:00:06,000\neight\n"
    )
    assert texts(track) == ["six", "and", "7", "eight"]


def test_30_a_voice_tag_is_a_label_and_a_cue_sent_twice_comes_once() -> None:
    cue = "00:00:01.000 --> 00:00:02.000\n<v Host>Welcome back</v>"
    track = vtt(cue, cue)
    assert texts(track) == ["Welcome", "back"]
    assert events(track) == [("speaker", "Host")]

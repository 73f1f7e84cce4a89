"""What `show transcript` prints of a track: clips with their lengths, their sentences below, events between."""

import re
from typing import Any

import pytest

from manifests.reasons import Reason
from pipeline.config.text import TextConfig
from pipeline.text.captions import read_track
from pipeline.text.captions.track import Event, Track, Word
from pipeline.text.clip_plan import PlannedClip
from pipeline.text.sentences import sentence_of
from pipeline.text.shown_transcript import (
    ShownTranscript,
    as_html,
    as_json,
    shown_transcript,
    terminal_lines,
    time_text,
)

VTT = b"""WEBVTT

00:00:01.000 --> 00:00:05.000
The first sentence is said here now. Then there is another one.

00:00:05.500 --> 00:00:06.500
[applause]

00:00:07.000 --> 00:00:12.000
After the applause a third sentence ends the talk of today.
"""


def lines() -> list[str]:
    track = read_track(VTT, format="vtt", kind="manual", language="en")
    return [line for _, line in terminal_lines(shown_transcript(track, TextConfig()))]


def test_each_clip_says_how_long_it_is_and_how_many_words_it_has() -> None:
    clips = [line for line in lines() if line.startswith("── clip")]

    assert clips
    for line in clips:
        seconds = float(line.split(" s, ")[0].split()[-1])
        assert 1.0 < seconds < 13.0, line
    assert sum(int(line.split(" words")[0].split()[-1]) for line in clips) == 23


def test_sentences_stand_below_their_clip_with_their_own_start() -> None:
    text = "\n".join(lines())

    places = [text.index(s) for s in ("The first sentence", "Then there is another one.", "After the applause")]
    assert places == sorted(places)
    assert time_text(7000).strip() in text


def test_a_start_that_was_interpolated_is_marked() -> None:
    """An automatic track stamps its words; cues of a manual one are stamped as a whole."""
    stamped = b'{"events": [{"tStartMs": 0, "segs": [{"utf8": "one"}, {"utf8": " two.", "tOffsetMs": 600}]}]}'
    track = read_track(stamped, format="json3", kind="auto", language="en")
    (sentence,) = (line for _, line in terminal_lines(shown_transcript(track, TextConfig())) if "one two." in line)
    assert "~" not in sentence
    assert all("~" in line for line in lines() if "The first sentence" in line)


def test_the_summary_says_whether_words_or_cues_were_stamped() -> None:
    stamped = b'{"events": [{"tStartMs": 0, "segs": [{"utf8": "one"}, {"utf8": " two.", "tOffsetMs": 600}]}]}'
    track = read_track(stamped, format="json3", kind="auto", language="en")
    assert ", word times, " in next(line for _, line in terminal_lines(shown_transcript(track, TextConfig())))
    assert ", cue times, " in lines()[0]


def test_what_was_heard_is_shown_and_marks_of_speakers_are_not() -> None:
    shown = "\n".join(lines())

    assert "applause" in shown
    assert "speaker_change" not in shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0:00.000"),
        (61_005, "1:01.005"),
        (3_599_999, "59:59.999"),
        (3_600_000, "1:00:00.000"),
        (36_061_001, "10:01:01.001"),
    ],
)
def test_a_time_has_hours_from_the_first_on(ms: int, shown: str) -> None:
    assert time_text(ms) == shown


def a_transcript() -> ShownTranscript:
    """A kept clip and one rejected; a sound before each, one after all, and marks that nobody wants to see."""
    texts = ["so", "it", "goes.", "and", "on.", "then", "fuck", "it"]
    words = tuple(Word(text, 1000 * i, 1000 * i + 500, i != 3) for i, text in enumerate(texts))
    sounds = [Event("sound", text, ms, ms) for text, ms in (("[one]", 0), ("[two]", 5000), ("[end]", 8000))]
    hidden = [Event("speaker_change", ">>", 100, 100), Event("masked", "[__]", 100, 100)]
    track = Track(words, (*sounds, *hidden), "vtt", "manual", "", True, False, True)
    clips = [PlannedClip(0, 5, 0, 5000, "so it goes. and on.", 0.5), PlannedClip(5, 8, 5000, 8000, "then fuck it", 1.0)]
    sentences = [sentence_of(words, 0, 3), sentence_of(words, 3, 5), sentence_of(words, 5, 8)]
    return ShownTranscript(track, sentences, clips, [None, (Reason.MOSTLY_EVENTS, "0.9 of its time")], "net-3")


def test_clips_events_and_sentences_stand_in_the_order_of_their_times() -> None:
    shown = list(terminal_lines(a_transcript()))
    assert [style for style, _ in shown] == ["bold", "magenta", "green", "", "", "magenta", "red", "", "magenta"]
    summary, one, kept, first, second, two, rejected, third, end = (line for _, line in shown)
    assert summary.startswith(
        "vtt, manual, language not known, cue times (word times were false), sentences by net-3: 8 "
    )
    assert summary.endswith("3 sentences, 1 clips, 1 rejected")
    assert [line.split("  ")[-1] for line in (one, two, end)] == ["(sound) [one]", "(sound) [two]", "(sound) [end]"]
    assert kept == "── clip 0:00.000 – 0:05.000  5.0 s, 5 words, confidence 0.50"
    assert rejected.endswith("3 words, confidence 1.00  [profanity]  rejected: mostly_events (0.9 of its time)")
    assert first.split() == ["0:00.000", "so", "it", "goes."] and third.split() == ["0:05.000", "then", "fuck", "it"]
    assert second.split() == ["~", "0:03.000", "and", "on."], "its start was interpolated"


def test_plain_data_has_kept_clips_and_rejects_apart() -> None:
    data: dict[str, Any] = as_json(a_transcript())
    assert [clip["text"] for clip in data["clips"]] == ["so it goes. and on."]
    assert [(clip["start_ms"], clip["reason"]) for clip in data["rejects"]] == [(5000, "mostly_events")]
    assert len(data["words"]) == 8 and len(data["events"]) == 5 and len(data["sentences"]) == 3
    assert data["track"]["false_times"] and not data["track"]["word_timed"]


def test_the_page_shows_each_word_where_it_is_said_and_where_sentences_begin() -> None:
    page = as_html(a_transcript(), "a film")
    bars = re.findall(r'<i class="([^"]*)" style="left:([\d.]+)%;width:([\d.]+)%" title="([^"]*)">', page)
    assert [(names, float(left), float(width)) for names, left, width, _ in bars[:4]] == [
        ("first", 0.0, 10.0), ("", 20.0, 10.0), ("", 40.0, 10.0), ("guess first", 60.0, 10.0),
    ]  # fmt: skip
    assert [bar[3] for bar in bars] == [word.text for word in a_transcript().track.words]
    places = [page.index(text) for text in ("[one]", "so it goes.</p>", "[two]", 'class="clip rejected"', "[end]")]
    assert places == sorted(places) and page.count('<div class="clip') == 2 and "masked" not in page

"""What `show transcript` prints of a track: clips with their lengths, their sentences below, events between."""

from pipeline.config.text import TextConfig
from pipeline.text.captions import read_track
from pipeline.text.view import as_html, clock, terminal_lines, view_of

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
    return [line for _, line in terminal_lines(view_of(track, TextConfig()))]


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
    assert clock(7000).strip() in text


def test_a_start_that_was_interpolated_is_marked() -> None:
    """An automatic track stamps its words; cues of a manual one are stamped as a whole."""
    stamped = b'{"events": [{"tStartMs": 0, "segs": [{"utf8": "one"}, {"utf8": " two.", "tOffsetMs": 600}]}]}'
    track = read_track(stamped, format="json3", kind="auto", language="en")
    (sentence,) = (line for _, line in terminal_lines(view_of(track, TextConfig())) if "one two." in line)
    assert "~" not in sentence
    assert all("~" in line for line in lines() if "The first sentence" in line)


def test_the_summary_says_whether_words_or_cues_were_stamped() -> None:
    stamped = b'{"events": [{"tStartMs": 0, "segs": [{"utf8": "one"}, {"utf8": " two.", "tOffsetMs": 600}]}]}'
    track = read_track(stamped, format="json3", kind="auto", language="en")
    assert ", word times, " in next(line for _, line in terminal_lines(view_of(track, TextConfig())))
    assert ", cue times, " in lines()[0]


def test_what_was_heard_is_shown_and_marks_of_speakers_are_not() -> None:
    shown = "\n".join(lines())

    assert "applause" in shown
    assert "speaker_change" not in shown


def test_the_page_escapes_what_captions_say() -> None:
    hostile = VTT.replace(b"another one", b"&lt;script&gt;alert(1)&lt;/script&gt;")

    page = as_html(view_of(read_track(hostile, format="vtt", kind="manual"), TextConfig()), "<title>")

    assert "<script>alert" not in page
    assert "<title><title>" not in page

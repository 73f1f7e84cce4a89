"""Caption files of the embedded site: as YouTube has them, in every format."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from miniyoutube.script import Script, words_of
from miniyoutube.speech import automatic_json3, automatic_lines, caption_file, manual_cues, manual_json3
from pipeline.text.captions import read_track
from tests.miniyoutube.renditions import sentences_of

SCRIPT = Script(7, 15, 52_000)
FORMATS = ["json3", "vtt", "srv3", "srt"]


def test_the_automatic_track_rolls() -> None:
    events = json.loads(automatic_json3(SCRIPT))["events"]
    assert "segs" not in events[0]
    lines = [event for event in events[1:] if "aAppend" not in event]
    assert any(a["tStartMs"] + a["dDurationMs"] > b["tStartMs"] for a, b in pairwise(lines))
    assert sum("aAppend" in event for event in events) == len(lines) - 1
    texts = [segment["utf8"] for line in lines for segment in line["segs"]]
    assert "".join(texts).replace(" ", "").islower()
    assert not set("".join(texts)) & set(".,!?")


def test_automatic_words_carry_their_own_times() -> None:
    lines = [e for e in json.loads(automatic_json3(SCRIPT))["events"][1:] if "aAppend" not in e]
    got = [(s["utf8"].strip(), line["tStartMs"] + s.get("tOffsetMs", 0)) for line in lines for s in line["segs"]]
    assert got == [(word.text, word.start_ms) for word in words_of(SCRIPT)]


def test_manual_cues_are_the_punctuated_sentences() -> None:
    cues = manual_cues(SCRIPT)
    assert " ".join(cue.text for cue in cues) == " ".join(sentences_of(SCRIPT))
    assert all(len(cue.text) <= 71 for cue in cues)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(cues))
    assert len(json.loads(manual_json3(SCRIPT))["events"]) == len(cues)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", ["auto", "manual"])
def test_every_format_gives_the_pipeline_each_word_once(format_: str, kind: str) -> None:
    data = caption_file(SCRIPT, kind, format_)
    assert data is not None
    track = read_track(data, format=format_, kind=kind, language="en")
    got = [word.text.lower().strip(".") for word in track.words]
    assert got == [word.text for word in words_of(SCRIPT)]


def test_no_line_runs_over_a_pause() -> None:
    for line in automatic_lines(SCRIPT):
        assert all(b.start_ms - a.end_ms < 200 for a, b in pairwise(line))

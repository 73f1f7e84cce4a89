"""Caption files of the embedded site say what its films say, when they say it."""

from __future__ import annotations

import json

import pytest

from miniyoutube.script import Script, words_of
from miniyoutube.speech import automatic_json3, caption_file
from pipeline.text.captions import read_track

SCRIPT = Script(7, 15, 52_000)


def test_automatic_words_carry_their_own_times() -> None:
    lines = [e for e in json.loads(automatic_json3(SCRIPT))["events"][1:] if "aAppend" not in e]
    got = [(s["utf8"].strip(), line["tStartMs"] + s.get("tOffsetMs", 0)) for line in lines for s in line["segs"]]
    assert got == [(word.text, word.start_ms) for word in words_of(SCRIPT)]


@pytest.mark.parametrize("format_", ["json3", "vtt"])
@pytest.mark.parametrize("kind", ["auto", "manual"])
def test_every_format_gives_the_pipeline_each_word_once(format_: str, kind: str) -> None:
    data = caption_file(SCRIPT, kind, format_)
    assert data is not None
    track = read_track(data, format=format_, kind=kind, language="en")
    assert [word.text.lower().strip(".") for word in track.words] == [word.text for word in words_of(SCRIPT)]

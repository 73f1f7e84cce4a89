"""What is said and shown: sentences, their pauses and their shots."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from miniyoutube.script import PLAIN_COLOURS, Script, shots_of
from tests.miniyoutube.renditions import sentences_of

SCRIPT = Script(7, 15, 52_000)


@pytest.mark.parametrize("seed", range(20))
def test_sentences_last_about_as_long_as_they_should_with_pauses_between(seed: int) -> None:
    spoken = [shot.words for shot in shots_of(Script(seed, 1 + seed % 2, 60_000)) if shot.words]
    lengths_s = [(words[-1].end_ms - words[0].start_ms) / 1000 for words in spoken]
    assert all(8 <= length <= 14 for length in lengths_s)
    pauses_ms = [b[0].start_ms - a[-1].end_ms for a, b in pairwise(spoken)]
    assert all(800 <= pause < 1600 for pause in pauses_ms)


@pytest.mark.parametrize("seed", range(20))
def test_a_plain_sentence_is_short_and_says_what_moves_before_which_wall(seed: int) -> None:
    spoken = [shot for shot in shots_of(Script(seed, 15, 60_000, "plain")) if shot.words]
    assert len(spoken) >= 10
    for shot in spoken:
        words = [word.text for word in shot.words]
        assert 2_800 <= shot.words[-1].end_ms - shot.words[0].start_ms <= 4_500
        wall = words.index("wall")
        assert words[wall - 2 : wall] == [shot.scene.texture, shot.scene.background]
        assert words[words.index("things") - 1] == shot.scene.colour in PLAIN_COLOURS
        assert shot.scene.count > 1, "things"


@pytest.mark.parametrize("seed", range(20))
def test_the_picture_changes_in_the_pause_before_a_sentence(seed: int) -> None:
    shots = shots_of(Script(seed, 20, 60_000))
    assert shots[0].start_ms == 0
    assert shots[-1].end_ms == 60_000
    for before, after in pairwise(shots):
        assert before.end_ms == after.start_ms
        assert before.words[-1].end_ms < after.start_ms < after.words[0].start_ms


def test_a_sentence_says_what_its_shot_shows() -> None:
    for shot in shots_of(SCRIPT):
        text = " ".join(word.text for word in shot.words)
        scene = shot.scene
        for word in (scene.background, scene.texture, scene.shape, scene.colour, scene.motion, scene.noun):
            assert word in text


def test_a_greeting_is_spoken_first_and_only_once() -> None:
    script = replace(SCRIPT, greeting="hello and welcome back to the channel for shapes and colours of every kind")
    sentences = sentences_of(script)
    assert sentences[0].startswith("Hello and welcome back")
    assert sum("welcome" in sentence for sentence in sentences) == 1

"""A stretch of a clip's audio, and what is no audio of a clip."""

import numpy as np
import pytest

from train.data.audio import ClipSound, read_audio
from train.testing import a_sample_json


def test_a_stretch_is_cut_at_its_times_and_never_before_the_clip() -> None:
    sound = ClipSound(np.arange(1000, dtype=np.float32), rate=1000)
    assert sound.stretch(10, 13).tolist() == [10, 11, 12]
    assert sound.stretch(9.5, 10.5).tolist() == [10]
    assert sound.stretch(-5, 2).tolist() == [0, 1] and len(sound.stretch(990, 5000)) == 10


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "no member flac or opus"),
        ({"flac": b""}, "does not describe flac"),
    ],
)
def test_what_is_missing_is_said_with_its_cure(members: dict[str, bytes], words: str) -> None:
    json = a_sample_json().model_dump_json().encode()
    with pytest.raises(ValueError, match=words):
        read_audio({"json": json, **members})

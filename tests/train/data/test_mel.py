"""A stretch of a clip's spectrogram, and what is no spectrogram of a clip."""

import numpy as np
import pytest

from train.data.mel import LogMel, read_mel
from train.testing import a_sample_json


def test_a_stretch_holds_the_columns_whose_centres_lie_in_it() -> None:
    mel = LogMel(np.arange(20, dtype=np.float32).reshape(2, 10), hop_ms=10.0)
    assert mel.stretch(20, 40).tolist() == [[2, 3], [12, 13]]
    assert mel.stretch(20.1, 40.1).tolist() == [[3, 4], [13, 14]]
    assert mel.stretch(-50, 1).shape == (2, 1)


def test_what_is_missing_or_not_described_is_said() -> None:
    json = a_sample_json().model_dump_json().encode()
    with pytest.raises(ValueError, match="no member mel"):
        read_mel({"json": json})
    with pytest.raises(ValueError, match="does not describe"):
        read_mel({"json": json, "mel.npy": b"x"})

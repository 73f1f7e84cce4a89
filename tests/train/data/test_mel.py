"""A stretch of a clip's spectrogram, and what is no spectrogram of a clip."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from hdvila_testing.drawn_set import a_sample_json
from train.data import mel
from train.data.mel import LogMel, read_mel


def test_a_stretch_holds_the_columns_whose_centres_lie_in_it() -> None:
    some = LogMel(np.arange(20, dtype=np.float32).reshape(2, 10), hop_ms=10.0)
    assert some.stretch(20, 40).tolist() == [[2, 3], [12, 13]]
    assert some.stretch(20.1, 40.1).tolist() == [[3, 4], [13, 14]]
    assert some.stretch(-50, 1).shape == (2, 1)


def test_what_is_missing_or_not_described_is_said() -> None:
    document = a_sample_json().model_dump_json().encode()
    with pytest.raises(ValueError, match="no member mel"):
        read_mel({"json": document})
    with pytest.raises(ValueError, match="does not describe"):
        read_mel({"json": document, "mel.npy": b"x"})


def sample_with(values: np.ndarray, **fields: object) -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, values)
    described = {"mel_rate": 16_000, "mel_bins": 3, "mel_hop_ms": 10.0, "mel_frames": 4, **fields}
    return {"json": json.dumps({**a_sample_json().model_dump(), **described}).encode(), "mel.npy": buffer.getvalue()}


def test_a_spectrogram_is_read_as_single_precision_with_its_hop() -> None:
    values = np.arange(12, dtype=np.float16).reshape(3, 4)

    found = read_mel(sample_with(values))

    assert found.values.dtype == np.float32 and np.array_equal(found.values, values) and found.hop_ms == 10.0


@pytest.mark.parametrize(
    "values", [np.zeros((3, 5), np.float16), np.zeros((4, 3), np.float16), np.zeros((3, 4), np.float32)], ids=str
)
def test_an_array_of_another_shape_or_type_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="wanted float16"):
        read_mel(sample_with(values))


def test_an_array_larger_than_a_clips_is_not_made_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_with(np.zeros((3, 4), np.float16))
    monkeypatch.setattr(mel, "MAX_BYTES", len(sample["mel.npy"]))
    assert read_mel(sample).values.shape == (3, 4)
    monkeypatch.setattr(mel, "MAX_BYTES", len(sample["mel.npy"]) - 1)

    with pytest.raises(ValueError, match=r"mel\.npy of \d+ bytes"):
        read_mel(sample)


class Runs:
    """What runs a command where somebody unpickles it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def test_an_array_that_would_run_code_runs_none(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[Runs(str(tmp_path / "ran"))]], object), allow_pickle=True)

    with pytest.raises(ValueError):
        read_mel({**sample_with(np.zeros((3, 4), np.float16)), "mel.npy": buffer.getvalue()})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY\x01\x00 cut", b"no array"])
def test_an_array_that_cannot_be_read_is_a_damaged_member(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_mel({**sample_with(np.zeros((3, 4), np.float16)), "mel.npy": data})

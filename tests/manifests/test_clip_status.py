"""One enum for what became of a clip; each file keeps its own word for it."""

import pyarrow as pa
import pytest

from manifests.clip_status import ClipStatus, is_success


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("success", ClipStatus.SUCCESS),
        ("failed", ClipStatus.FAILED),
        ("failed_to_subsample", ClipStatus.FAILED),
        ("failed_to_download", ClipStatus.FAILED),  # video2dataset's, in sets that it made
    ],
)
def test_every_word_of_a_file_is_read(word: str, status: ClipStatus) -> None:
    assert ClipStatus.of(word) is status
    assert is_success(pa.chunked_array([[word]])).to_pylist() == [status is ClipStatus.SUCCESS]

"""Whether a clip that was tried became a sample: an enum, and the words for it in files.

Table `packs` and clips.jsonl say `failed`; the rows of shards say `failed_to_subsample`, which readers of video2dataset
know. Both are read as the same status.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class ClipStatus(StrEnum):
    """The word used in table `packs`. `.in_shards` is the word used in a shard's rows."""

    SUCCESS = "success"
    FAILED = "failed"

    @property
    def in_shards(self) -> str:
        """The word for it in a shard's rows."""
        return _IN_SHARDS[self]

    @classmethod
    def of(cls, word: str) -> ClipStatus:
        """The status of any word in a file: everything but `success` is some kind of failure."""
        return cls.SUCCESS if word == cls.SUCCESS else cls.FAILED


_IN_SHARDS = {ClipStatus.SUCCESS: "success", ClipStatus.FAILED: "failed_to_subsample"}


def is_success(status: pa.ChunkedArray) -> pa.ChunkedArray:
    """[N] booleans: which rows of a `status` column are samples."""
    import pyarrow.compute as pc  # heavy, and `cut` does without

    return pc.equal(status, ClipStatus.SUCCESS.value)

"""Whether a clip that was tried became a sample: one enum, and the words that files hold for it.

Table `packs` and clips.jsonl say `failed`; the rows of shards say `failed_to_subsample`, which readers of video2dataset
know. Both read the same here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class ClipStatus(StrEnum):
    """The word of table `packs`. `.in_shards` is that of a shard's rows."""

    SUCCESS = "success"
    FAILED = "failed"

    @property
    def in_shards(self) -> str:
        """The word of a shard's rows."""
        return _IN_SHARDS[self]

    @classmethod
    def of(cls, word: str) -> ClipStatus:
        """The status of any word that a file holds: everything but `success` is a failure of some kind."""
        return cls.SUCCESS if word == cls.SUCCESS else cls.FAILED


_IN_SHARDS = {ClipStatus.SUCCESS: "success", ClipStatus.FAILED: "failed_to_subsample"}


def is_success(status: pa.ChunkedArray) -> pa.ChunkedArray:
    """[N] booleans: which rows of a `status` column are samples."""
    import pyarrow.compute as pc  # heavy, and `cut` does without

    return pc.equal(status, ClipStatus.SUCCESS.value)

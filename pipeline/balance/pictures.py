"""Clips and videos as things of an index: they are alike if they show the same.

Each picture has a hash of the whole and of several parts, and is filed by all of them. It looks for others by these,
and by those of the mirrored picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.balance.alike import Kind
from pipeline.balance.bands import Keys, keys_of_hashes
from pipeline.balance.shown import Shows
from pipeline.media.phash import N_HASHES, NOTHING, Hashes, mirrored_pictures

NAMES = pa.schema([("id", pa.string()), ("video_id", pa.string()), ("channel_id", pa.string()), ("n", pa.int64())])


def kind_of(name: str, max_distance: int, is_same: Callable[[Hashes, Hashes], bool]) -> Kind:
    """The kind for things that show pictures. `is_same`: whether two that have near hashes show the same."""

    def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        return is_same(_hashes(a["shown"]), _hashes(b["shown"]))

    return Kind(name, max_distance, filed, asked, same, NAMES)


def things_of(shows: Shows) -> pa.Table:
    """Makes the table that is kept of things: the columns of NAMES, and `shown`, the hashes of their pictures."""
    size = 8 * N_HASHES
    data = pa.py_buffer(np.ascontiguousarray(shows.hashes, "<u8").tobytes())
    ends = pa.py_buffer((shows.starts * size).astype(np.int32).tobytes())
    shown = pa.Array.from_buffers(pa.binary(), len(shows), [None, ends, data])
    return shows.table.select(NAMES.names).append_column("shown", shown)


def filed(things: pa.Table) -> Keys:
    """The hashes by which others find them."""
    owners, hashes = _pictures(things)
    return _keys(owners, hashes)


def asked(things: pa.Table) -> Keys:
    """The hashes by which they look for others."""
    owners, hashes = _pictures(things)
    return _keys(np.tile(owners, 2), np.concatenate([hashes, mirrored_pictures(hashes)]))


def _keys(owners: np.ndarray[Any, np.dtype[np.int64]], hashes: Hashes) -> Keys:
    owners, flat = np.repeat(owners, N_HASHES), hashes.reshape(-1)
    return keys_of_hashes(flat[flat != NOTHING], owners[flat != NOTHING])


def _pictures(things: pa.Table) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Hashes]:
    """(owner of each picture, hashes of all pictures) of the things."""
    values = things.column("shown").to_pylist()
    counts = [len(value) // (8 * N_HASHES) for value in values]
    return np.repeat(np.arange(len(values)), counts), _hashes(b"".join(values))


def _hashes(shown: bytes) -> Hashes:
    return np.frombuffer(shown, "<u8").astype(np.uint64).reshape(-1, N_HASHES)

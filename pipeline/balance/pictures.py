"""Clips and videos as things of an index: they are alike if they show the same.

Each picture has a hash of the whole and of several parts, and is filed by all of them. It looks for others by these,
and by those of the mirrored picture, each among the parts that may show the same. Videos are found by their clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.balance.alike import Kind, Wanted
from pipeline.balance.bands import Int64, starts_of_runs
from pipeline.balance.near_files import Filed
from pipeline.balance.shown import APART, Shows
from pipeline.balance.together import Nearness
from pipeline.media.phash import ALIGNED, MIDDLE, N_HASHES, NOTHING, WHOLE, Hashes, mirrored_pictures

NAMES = pa.schema([("id", pa.string()), ("video_id", pa.string()), ("channel_id", pa.string()), ("n", pa.int64())])


def kind_of(name: str, max_distance: int, is_same: Callable[[Hashes, Hashes], bool], parts: str = "") -> Kind:
    """The kind for things that show pictures. `is_same`: whether two that have near hashes show the same; `parts`: as
    in Kind.
    """

    def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        return is_same(_hashes(a["shown"]), _hashes(b["shown"]))

    return Kind(name, Nearness(max_distance, max(APART, max_distance)), filed, asked, same, NAMES, parts=parts)


def things_of(shows: Shows, wholes: Sequence[str] | None = None) -> pa.Table:
    """Makes the table that is kept of things: the columns of NAMES, and `shown`, the hashes of their pictures.

    `wholes`: ids of the videos that are added with these clips; column `whole` says which of them a clip is from.
    """
    size = 8 * N_HASHES
    data = pa.py_buffer(np.ascontiguousarray(shows.hashes, "<u8").tobytes())
    ends = pa.py_buffer((shows.starts * size).astype(np.int32).tobytes())
    shown = pa.Array.from_buffers(pa.binary(), len(shows), [None, ends, data])
    table = shows.table.select(NAMES.names).append_column("shown", shown)
    if wholes is None:
        return table
    of_whole = pc.index_in(table.column("video_id"), value_set=pa.array(wholes, pa.string()))
    return table.append_column("whole", pc.fill_null(of_whole, -1))


def filed(things: pa.Table) -> Filed:
    """The hashes by which others find them: a row a picture, a column a part."""
    counts, hashes = _pictures(things)
    starts = starts_of_runs(things.column("video_id").combine_chunks().dictionary_encode().indices.to_numpy())
    return Filed(counts, hashes.T, np.diff(np.append(starts, len(counts))))


def asked(things: pa.Table) -> Wanted:
    """The hashes by which they look for others in each part; mirrored ones where it is the whole picture or its middle,
    which mirroring leaves in place.
    """
    counts, hashes = _pictures(things)
    owners, turned = np.repeat(np.arange(len(counts)), counts), mirrored_pictures(hashes)
    found = []
    for column in range(N_HASHES):
        parts = [one for one, other in ALIGNED if other == column]
        of_column = [hashes[:, part] for part in parts]
        if column in (WHOLE, MIDDLE):
            of_column += [turned[:, part] for part in parts if part in (WHOLE, MIDDLE)]
        found.append([_that_show(owners, of_part) for of_part in of_column])
    return found


def _that_show(owners: Int64, hashes: Hashes) -> tuple[Int64, Hashes]:
    shows = hashes != NOTHING
    return owners[shows], hashes[shows]


def _pictures(things: pa.Table) -> tuple[Int64, Hashes]:
    """How many pictures each thing has, and those of all."""
    values = things.column("shown").to_pylist()
    counts = np.array([len(value) // (8 * N_HASHES) for value in values], np.int64)
    return counts, _hashes(b"".join(values))


def _hashes(shown: bytes) -> Hashes:
    return np.frombuffer(shown, "<u8").astype(np.uint64).reshape(-1, N_HASHES)

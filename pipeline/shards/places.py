"""Where the videos of closed shards are: which split each is in, 13 bytes a video, and which splits a channel is in, 12
bytes and its name.

A plan never contradicts what is closed. It has to know the split of each video that it continues or that repeats
another, and, for all other videos, one of each channel and split: the first by id.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.columns import table_in_a_file
from manifests.hashing import UInt64
from manifests.membership import hash_ids, rows_in
from pipeline.shards.draw import Codes

FIRSTS = pa.schema([("video_id", pa.string()), ("channel_id", pa.string()), ("split", pa.int8())])
MOST_WAITING = 50_000
"""Videos that wait until the first of each channel and split is looked for; more, where there are many channels."""


class Places:
    """See the module."""

    def __init__(self) -> None:
        self._videos: UInt64 = np.zeros(0, np.uint64)  # ascending hashes
        self._split: Codes = np.zeros(0, np.int8)
        self._channel: NDArray[np.int32] = np.zeros(0, np.int32)
        self._channels: UInt64 = np.zeros(0, np.uint64)  # ascending hashes
        self._number: NDArray[np.int32] = np.zeros(0, np.int32)  # of each channel: where its name is
        self._names = pa.array([], pa.string())
        self._firsts = FIRSTS.empty_table()
        self._n_firsts = 0  # once every channel and split was there once

    def add(self, video_id: pa.Array, channel_id: pa.Array, split: Codes) -> None:
        """Adds videos, each once. Of a video that is there already, the new place counts."""
        channels = pc.dictionary_encode(channel_id)
        channel = self._numbers(channels.dictionary)[channels.indices.to_numpy()]
        hashes = hash_ids(video_id)
        new = np.unique(hashes[rows_in(self._videos, hashes) < 0])
        where = np.searchsorted(self._videos, new)
        self._videos = np.insert(self._videos, where, new)
        self._split, self._channel = np.insert(self._split, where, 0), np.insert(self._channel, where, 0)
        rows = rows_in(self._videos, hashes)
        self._split[rows], self._channel[rows] = split, channel
        more = pa.table([video_id, channel_id, pa.array(split)], schema=FIRSTS)
        self._firsts = pa.concat_tables([self._firsts, more])
        if self._firsts.num_rows > 2 * self._n_firsts + MOST_WAITING:
            self._keep_firsts()

    def _numbers(self, names: pa.Array) -> NDArray[np.int32]:
        """[N] the numbers of these channels, which differ."""
        hashes = hash_ids(names)
        new = np.flatnonzero(rows_in(self._channels, hashes) < 0)
        new = new[np.argsort(hashes[new])]
        where = np.searchsorted(self._channels, hashes[new])
        numbers = np.arange(len(self._names), len(self._names) + len(new), dtype=np.int32)
        self._channels = np.insert(self._channels, where, hashes[new])
        self._number = np.insert(self._number, where, numbers)
        self._names = pa.concat_arrays([self._names, names.take(pa.array(new))])
        return self._number[rows_in(self._channels, hashes)]

    def _keep_firsts(self) -> None:
        firsts = self._firsts.group_by(["channel_id", "split"]).aggregate([("video_id", "min")])
        firsts = firsts.rename_columns({"video_id_min": "video_id"}).select(FIRSTS.names)
        self._firsts = table_in_a_file(firsts)
        self._n_firsts = firsts.num_rows

    def of(self, video_ids: pa.Array) -> pa.Table:
        """FIRSTS: those of these videos that are there, and the first video of each channel in each split."""
        self._keep_firsts()
        rows = rows_in(self._videos, hash_ids(video_ids))
        here = np.flatnonzero(rows >= 0)
        channels = self._names.take(pa.array(self._channel[rows[here]]))
        named = pa.table([video_ids.take(pa.array(here)), channels, pa.array(self._split[rows[here]])], schema=FIRSTS)
        others = pc.invert(pc.is_in(self._firsts.column("video_id"), value_set=named.column("video_id")))
        return pa.concat_tables([named, self._firsts.filter(others)]).combine_chunks()

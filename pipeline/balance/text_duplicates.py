"""Near-duplicates by text: re-uploads, and sentences that a channel says in video after video.

In:  tables `transcripts` (the `minhash` column), `videos` (durations, channels), `clips` (texts)
Out: {id: the id that it repeats}, of videos and of clips: what `selection.Outcomes.duplicates` takes

Re-uploads are found by `reuploads.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.hashing import hash_texts
from pipeline.balance.near_tasks import Spread, spread_here
from pipeline.balance.reuploads import Reuploads
from pipeline.config.balance import TextDuplicatesConfig
from pipeline.engine.store import Store

PREFIX_CHARS = 96
"""A sentence is compared by its length and this many of its first characters."""
HEAP_BITS = 4
N_HEAPS = 1 << HEAP_BITS

_Said = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint64]]
"""Of sentences the indices of their videos, their numbers there, and what is said."""


class Texts:
    """What is known of all texts; more may be committed at any time. In memory are 16 bytes a sentence.

    What repeats does not depend on the order in which they came.
    """

    def __init__(self, config: TextDuplicatesConfig, store: Store, spread: Spread = spread_here) -> None:
        self._config = config
        self._reuploads = Reuploads(config, store, spread)
        self.sentences = Sentences(config)

    def add_clips(self, rows: pa.Table) -> None:
        """Rows with columns video_id, n, text."""
        if self._config.repeated_sentences:
            self.sentences.add(rows)

    def find(self, videos: pa.Table) -> dict[str, str]:
        """What repeats among `videos` (video_id, channel_id, duration_s): by video id, and by clip id."""
        found = self._reuploads.find(videos) if self._config.reuploads else {}
        return found | self.sentences.repeats(videos)


# the same sentence over a channel's videos


class Sentences:
    """The sentences that can count as repeats: of each its video, its number there and what is said, 16 bytes.

    They lie in N_HEAPS by what is said, so that a search through all of them sorts a few at a time.
    """

    def __init__(self, config: TextDuplicatesConfig) -> None:
        self._config = config
        self._ids: list[pa.Array] = []
        self._n_ids = 0
        self._heaps: list[list[_Said]] = [[] for _ in range(N_HEAPS)]

    def add(self, clips: pa.Table) -> None:
        """Rows with columns video_id, n, text; a video's rows come in one table."""
        said = pc.replace_substring_regex(pc.utf8_lower(clips.column("text")), r"[^\p{L}\p{N}]+", " ")
        said = pc.utf8_trim_whitespace(said)
        enough = pc.greater_equal(pc.count_substring(said, " "), self._config.min_sentence_words - 1)
        clips, said = clips.filter(enough), said.filter(enough)
        length = pc.utf8_length(said).to_numpy().astype(np.uint64)
        prefix = _flat(pc.utf8_slice_codeunits(said, 0, PREFIX_CHARS))
        ids = pc.dictionary_encode(_flat(clips.column("video_id")))
        number = ids.indices.to_numpy(zero_copy_only=False).astype(np.int32) + np.int32(self._n_ids)
        key = hash_texts(prefix, 1) ^ (length << np.uint64(32))
        n = clips.column("n").to_numpy().astype(np.int32)
        heap = key >> np.uint64(64 - HEAP_BITS)
        for i, pieces in enumerate(self._heaps):
            here = heap == i
            pieces.append((number[here], n[here], key[here]))
        self._ids.append(ids.dictionary.cast(pa.string()))
        self._n_ids += len(ids.dictionary)

    def repeats(self, videos: pa.Table) -> dict[str, str]:
        """{clip_id: the first clip, by video id, that says the same} in several videos of one channel.

        `videos` has video_id, channel_id ("": never compared).
        """
        if not self._n_ids:
            return {}
        self._ids = [pa.concat_arrays(self._ids)]
        channel, is_known = _channels(self._ids[0], videos)
        found: dict[str, str] = {}
        for pieces in self._heaps:
            number, n, said = (np.concatenate(column) for column in zip(*pieces, strict=True))
            pieces[:] = [(number, n, said)]
            found |= self._repeats_in(pieces[0], channel, is_known)
        return dict(sorted(found.items()))

    def _repeats_in(self, heap: _Said, channel: NDArray[np.uint64], is_known: NDArray[np.bool_]) -> dict[str, str]:
        number, n, said = heap
        rows = np.flatnonzero(is_known[number])
        found: dict[str, str] = {}
        for group in _equal(said[rows] ^ channel[number[rows]], self._config.min_repeats):
            of_group = rows[group]
            says = self._ids[0].take(pa.array(number[of_group])).to_pylist()
            if len(set(says)) >= self._config.min_repeats:
                names = [f"{video}.{k}" for video, k in sorted(zip(says, n[of_group].tolist(), strict=True))]
                found.update(dict.fromkeys(names[1:], names[0]))
        return found


def _channels(ids: pa.Array, videos: pa.Table) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """([ids] a number for the channel of each video, [ids] whether its channel is known)."""
    known = videos.filter(pc.not_equal(videos.column("channel_id"), ""))
    row = pc.index_in(ids, value_set=_flat(known.column("video_id")))
    is_known = pc.is_valid(row).to_numpy(zero_copy_only=False)
    if not len(known):
        return np.zeros(len(ids), np.uint64), is_known
    return hash_texts(_flat(known.column("channel_id").take(pc.fill_null(row, 0))), 2), is_known


def _equal(key: NDArray[np.uint64], at_least: int) -> Iterator[NDArray[np.int64]]:
    """Where in `key` each value stands that stands there so often."""
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=key[order[:1]] - np.uint64(1)))
    sizes = np.diff(np.append(first, len(order)))
    often = sizes >= at_least
    for at, size in zip(first[often].tolist(), sizes[often].tolist(), strict=True):
        yield order[at : at + size]


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()

"""Near-duplicates by text: re-uploads, and sentences that a channel says in video after video.

In:  tables `transcripts` (the `minhash` column), `videos` (durations, channels), `clips` (texts)
Out: {id: the id that it repeats}, of videos and of clips: what `selection.Outcomes.duplicates` takes

Signatures are datasketch's MinHash (64 permutations of a transcript's 3-word shingles). They are compared by
locality-sensitive hashing: cut into bands, two signatures with an equal band are a candidate pair. datasketch chooses
bands and rows for the threshold; the join itself is done on columns here, since an index of Python dictionaries over
millions of signatures would take tens of GiB.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasketch import MinHashLSH
from numpy.typing import NDArray

from manifests.hashing import hash_texts
from pipeline.balance.groups import groups_of
from pipeline.config.balance import TextDuplicatesConfig

N_PERMUTATIONS = 64
MISSES_WEIGH_MORE = (0.01, 0.99)
"""Weights of false and missed candidate pairs: each pair is compared in full afterwards, so false ones cost little."""
NEIGHBOURS = 4
"""Of signatures with an equal band, in the order of their durations, each is compared with this many that follow."""
PREFIX_CHARS = 96
"""A sentence is compared by its length and this many of its first characters."""


class Texts:
    """What is known of all texts: 0.3 KB a transcript, 16 bytes a sentence. More may be added at any time.

    What repeats does not depend on the order in which they were added.
    """

    def __init__(self, config: TextDuplicatesConfig) -> None:
        self._config = config
        self._transcripts: list[pa.Table] = []
        self.sentences = Sentences(config)

    def add_transcripts(self, rows: pa.Table) -> None:
        """Rows with columns video_id, n_words, minhash."""
        if self._config.reuploads:
            long_enough = pc.greater_equal(rows.column("n_words"), self._config.min_words)
            self._transcripts.append(rows.select(["video_id", "n_words", "minhash"]).filter(long_enough))

    def add_clips(self, rows: pa.Table) -> None:
        """Rows with columns video_id, n, text."""
        if self._config.repeated_sentences:
            self.sentences.add(rows)

    def find(self, videos: pa.Table) -> dict[str, str]:
        """What repeats among `videos` (video_id, channel_id, duration_s): by video id, and by clip id."""
        found: dict[str, str] = {}
        if self._transcripts:
            self._transcripts = [pa.concat_tables(self._transcripts)]
            found |= find_reuploads(self._transcripts[0], videos, self._config)
        return found | self.sentences.repeats(videos)


# re-uploads


def find_reuploads(transcripts: pa.Table, videos: pa.Table, config: TextDuplicatesConfig) -> dict[str, str]:
    """{video_id: the first, by id, of the videos that it repeats}: same duration, near-same transcript.

    `transcripts` has columns video_id, n_words, minhash; `videos` has video_id, duration_s (0 or less: not known,
    then nothing is known to be the same).
    """
    long_enough = pc.greater_equal(transcripts.column("n_words"), config.min_words)
    rows = transcripts.filter(long_enough).select(["video_id", "minhash"])
    row = pc.index_in(rows.column("video_id"), value_set=videos.column("video_id").combine_chunks())
    duration = pc.fill_null(videos.column("duration_s").take(row), 0.0).to_numpy()
    rows, duration = rows.filter(pa.array(duration > 0)), duration[duration > 0]
    ids = rows.column("video_id").combine_chunks()
    signatures = signature_matrix(rows.column("minhash"))
    order = hash_texts(ids, 0)  # in which equal durations are taken, however the rows stand
    first, second = near_pairs(signatures, duration, config.jaccard, config.duration_tolerance_s, order)
    pairs = zip(ids.take(pa.array(first)).to_pylist(), ids.take(pa.array(second)).to_pylist(), strict=True)
    return {video: group[0] for group in groups_of(pairs) for video in group[1:]}


def signature_matrix(column: pa.ChunkedArray) -> NDArray[np.uint32]:
    """[N, 64] of a column of little-endian uint32 signatures. ValueError where one has another size."""
    matrix = np.empty((len(column), N_PERMUTATIONS), dtype=np.uint32)
    row = 0
    for chunk in column.chunks:
        sizes = pc.unique(pc.binary_length(chunk)).to_pylist()
        if sizes not in ([], [4 * N_PERMUTATIONS]):
            raise ValueError(f"minhash: signatures of {sizes} bytes, expected {4 * N_PERMUTATIONS}")
        if not len(chunk):
            continue
        _, ends, data = chunk.buffers()
        first = int(np.frombuffer(ends, dtype=np.int32)[chunk.offset])
        words = np.frombuffer(data, dtype="<u4", count=len(chunk) * N_PERMUTATIONS, offset=first)
        matrix[row : row + len(chunk)] = words.reshape(len(chunk), N_PERMUTATIONS)
        row += len(chunk)
    return matrix


def near_pairs(
    signatures: NDArray[np.uint32],
    duration_s: NDArray[np.float64],
    jaccard: float,
    tolerance_s: float,
    order: NDArray[np.uint64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (first, second) of pairs whose estimated Jaccard is at least that and whose durations are that close.

    `order` [N]: in which rows of the same duration are taken; None: as they stand.
    """
    order = np.arange(len(signatures), dtype=np.uint64) if order is None else order
    firsts, seconds = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for first, second in _band_pairs(signatures, duration_s, jaccard, tolerance_s, order):
        alike = (signatures[first] == signatures[second]).mean(axis=1) >= jaccard
        firsts.append(first[alike])
        seconds.append(second[alike])
    return np.concatenate(firsts), np.concatenate(seconds)


def _band_pairs(
    signatures: NDArray[np.uint32],
    duration_s: NDArray[np.float64],
    jaccard: float,
    tolerance_s: float,
    ties: NDArray[np.uint64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Candidate pairs band after band; the same pair may come more than once."""
    n_bands, n_rows = bands(jaccard)
    for band in range(n_bands):
        key = _fold(signatures[:, band * n_rows : (band + 1) * n_rows])
        order = np.lexsort((ties, duration_s, key))
        key, duration = key[order], duration_s[order]
        for step in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            near = (key[step:] == key[:-step]) & (duration[step:] - duration[:-step] <= tolerance_s)
            at = np.flatnonzero(near)
            if len(at):
                yield order[at], order[at + step]


def bands(jaccard: float) -> tuple[int, int]:
    """(bands, rows a band) that datasketch chooses for a threshold."""
    if jaccard >= 1:
        return 1, N_PERMUTATIONS
    index = MinHashLSH(threshold=jaccard, num_perm=N_PERMUTATIONS, weights=MISSES_WEIGH_MORE)
    return int(index.b), int(index.r)


def _fold(band: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """[N] one 64-bit number for the words of a band (multiply and add, as FNV-1 does)."""
    folded = np.full(len(band), 0xCBF29CE484222325, dtype=np.uint64)
    for column in band.T:
        folded = (folded * np.uint64(0x100000001B3)) ^ column
    return folded


# the same sentence over a channel's videos


class Sentences:
    """The sentences that can count as repeats: of each its video, its number there and what is said, 16 bytes."""

    def __init__(self, config: TextDuplicatesConfig) -> None:
        self._config = config
        self._ids: list[pa.Array] = []
        self._n_ids = 0
        self._pieces: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint64]]] = []

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
        self._pieces.append((number, clips.column("n").to_numpy().astype(np.int32), key))
        self._ids.append(ids.dictionary.cast(pa.string()))
        self._n_ids += len(ids.dictionary)

    def repeats(self, videos: pa.Table) -> dict[str, str]:
        """{clip_id: the first clip, by video id, that says the same} in several videos of one channel.

        `videos` has video_id, channel_id ("": never compared).
        """
        if not self._n_ids:
            return {}
        ids, number, n, said = self._joined()
        channel, is_known = _channels(ids, videos)
        rows = np.flatnonzero(is_known[number])
        found: dict[str, str] = {}
        for group in _equal(said[rows] ^ channel[number[rows]], self._config.min_repeats):
            of_group = rows[group]
            says = ids.take(pa.array(number[of_group])).to_pylist()
            if len(set(says)) >= self._config.min_repeats:
                names = [f"{video}.{k}" for video, k in sorted(zip(says, n[of_group].tolist(), strict=True))]
                found.update(dict.fromkeys(names[1:], names[0]))
        return found

    def _joined(self) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.int32], NDArray[np.uint64]]:
        """The ids, and of every sentence its video's index among them, its number there and what is said."""
        self._ids = [pa.concat_arrays(self._ids)]
        number, n, said = (np.concatenate(column) for column in zip(*self._pieces, strict=True))
        self._pieces = [(number, n, said)]
        return self._ids[0], number, n, said


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

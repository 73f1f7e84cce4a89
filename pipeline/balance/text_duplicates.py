"""Near-duplicates by text: re-uploads, and sentences that a channel says in video after video.

In:  tables `transcripts` (the `minhash` column), `videos` (durations, channels), `clips` (texts)
Out: {id: the id that it repeats}, of videos and of clips: what `selection.Outcomes.duplicates` takes

Signatures are datasketch's MinHash (64 permutations of a transcript's 3-word shingles). They are compared by
locality-sensitive hashing: cut into bands, two signatures with an equal band are a candidate pair. datasketch chooses
bands and rows for the threshold; the join itself is done on columns here, since an index of Python dictionaries over
millions of signatures would take tens of GiB.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasketch import MinHashLSH
from numpy.typing import NDArray

from manifests.hashing import hash_texts
from pipeline.balance.groups import groups_of
from pipeline.config.balance import TextDuplicatesConfig
from pipeline.engine.store import Store

N_PERMUTATIONS = 64
MISSES_WEIGH_MORE = (0.01, 0.99)
"""Weights of false and missed candidate pairs: each pair is compared in full afterwards, so false ones cost little."""
NEIGHBOURS = 4
"""Of signatures with an equal band, in the order of their durations, each is compared with this many that follow."""
PREFIX_CHARS = 96
"""A sentence is compared by its length and this many of its first characters."""


def find_text_duplicates(store: Store, config: TextDuplicatesConfig, videos: pa.Table | None = None) -> dict[str, str]:
    """What repeats by text among `videos` (video_id, channel_id, duration_s; None: all of the output directory).

    The keys are video ids, and clip ids `<video_id>.<n>`.
    """
    videos = store.read_table("videos", ["video_id", "channel_id", "duration_s"]) if videos is None else videos
    found: dict[str, str] = {}
    if config.reuploads:
        found |= find_reuploads(store.read_table("transcripts", ["video_id", "n_words", "minhash"]), videos, config)
    if config.repeated_sentences:
        parts = (store.read_part(part, ["video_id", "n", "text"]) for part in store.parts("clips"))
        found |= find_repeated_sentences(parts, videos, config)
    return found


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
    first, second = near_pairs(signatures, duration, config.jaccard, config.duration_tolerance_s)
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
    signatures: NDArray[np.uint32], duration_s: NDArray[np.float64], jaccard: float, tolerance_s: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (first, second) of pairs whose estimated Jaccard is at least that and whose durations are that close."""
    firsts, seconds = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for first, second in _band_pairs(signatures, duration_s, jaccard, tolerance_s):
        alike = (signatures[first] == signatures[second]).mean(axis=1) >= jaccard
        firsts.append(first[alike])
        seconds.append(second[alike])
    return np.concatenate(firsts), np.concatenate(seconds)


def _band_pairs(
    signatures: NDArray[np.uint32], duration_s: NDArray[np.float64], jaccard: float, tolerance_s: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Candidate pairs band after band; the same pair may come more than once."""
    n_bands, n_rows = bands(jaccard)
    for band in range(n_bands):
        key = _fold(signatures[:, band * n_rows : (band + 1) * n_rows])
        order = np.lexsort((duration_s, key))
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


def find_repeated_sentences(
    clips: Iterable[pa.Table], videos: pa.Table, config: TextDuplicatesConfig
) -> dict[str, str]:
    """{clip_id: the first clip, by video id, that says the same} of sentences in several videos of one channel.

    `clips` are tables with columns video_id, n, text; `videos` has video_id, channel_id ("": never compared).
    """
    known = videos.filter(pc.not_equal(videos.column("channel_id"), ""))
    parts = [part for table in clips if (part := _sentences(table, known, config)).num_rows]
    if not parts:
        return {}
    table = pa.concat_tables(parts)
    key = table.column("key").to_numpy()
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=key[order[0]] - np.uint64(1)))
    sizes = np.diff(np.append(first, len(order)))
    found: dict[str, str] = {}
    for at, size in zip(first[sizes >= config.min_repeats], sizes[sizes >= config.min_repeats], strict=True):
        rows = table.take(pa.array(order[at : at + size])).sort_by([("video_id", "ascending"), ("n", "ascending")])
        names = [
            f"{video}.{n}" for video, n in zip(*(rows.column(c).to_pylist() for c in ("video_id", "n")), strict=True)
        ]
        if len(set(rows.column("video_id").to_pylist())) >= config.min_repeats:
            found.update(dict.fromkeys(names[1:], names[0]))
    return found


def _sentences(clips: pa.Table, videos: pa.Table, config: TextDuplicatesConfig) -> pa.Table:
    """Columns video_id, n, key of the sentences that can count as repeats; key: channel and what is said."""
    row = pc.index_in(clips.column("video_id"), value_set=videos.column("video_id").combine_chunks())
    clips = clips.append_column("channel", videos.column("channel_id").take(row)).filter(pc.is_valid(row))
    said = pc.replace_substring_regex(pc.utf8_lower(clips.column("text")), r"[^\p{L}\p{N}]+", " ")
    said = pc.utf8_trim_whitespace(said)
    enough = pc.greater_equal(pc.count_substring(said, " "), config.min_sentence_words - 1)
    clips, said = clips.filter(enough), said.filter(enough)
    prefix = pc.utf8_slice_codeunits(said, 0, PREFIX_CHARS)
    length = pc.utf8_length(said).to_numpy().astype(np.uint64)
    key = hash_texts(_flat(prefix), 1) ^ (length << np.uint64(32)) ^ hash_texts(_flat(clips.column("channel")), 2)
    return pa.table({"video_id": clips.column("video_id"), "n": clips.column("n"), "key": pa.array(key)})


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()

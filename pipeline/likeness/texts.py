"""Finds re-uploads by their words: videos of equal length with nearly the same transcript.

In:  table `transcripts` (its `minhash` column), `videos` (durations)   Out: {video_id: the video that it repeats}

Signatures are datasketch's MinHash (64 permutations of a transcript's 3-word shingles). They are compared by
locality-sensitive hashing: signatures are divided into bands, and two with an equal band are a candidate pair;
datasketch chooses bands and rows for the threshold. Each transcript is compared once, with those of all videos that
came before it (`index.py`): it is filed by each band together with its duration, to the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasketch import MinHashLSH
from numpy.typing import NDArray

from manifests.hashing import splitmix64
from manifests.rows import MatchRow
from pipeline.likeness.bands import Int64
from pipeline.likeness.groups import groups_of
from pipeline.likeness.index import Filed, Item, Kind, Wanted
from pipeline.likeness.matches import SIDES, among, match_of
from pipeline.likeness.together import Nearness
from pipeline.media.phash import Hashes


@dataclass(frozen=True, slots=True)
class SameTalk:
    """When two transcripts count as the same: docs/balance.md tells what is found."""

    jaccard: float = 0.8
    """Estimated share of word shingles that they have in common."""
    duration_tolerance_s: float = 2.0
    """Durations that differ by at most this count as the same."""
    min_words: int = 20
    """Transcripts with fewer words are never compared."""


SAME_TALK = SameTalk()

N_PERMUTATIONS = 64
MISSES_WEIGH_MORE = (0.01, 0.99)
"""Weights of false and missed candidate pairs: each pair is compared in full afterwards, so false ones cost little."""
TEXTS = "texts"
AT_A_TIME = 1 << 17
"""Transcripts that are compared together."""
_SLACK_S = 0.01
"""Duration buckets are this much wider than the tolerance requires."""

COLUMNS = ("video_id", "n_words", "minhash")


def kind_of(rule: SameTalk = SAME_TALK) -> Kind:
    """Transcripts of videos of known length."""
    n_bands, n_rows = bands(rule.jaccard)
    tolerance_s = rule.duration_tolerance_s
    return Kind(
        TEXTS,
        "transcripts",
        COLUMNS,
        ("duration_s",),
        n_bands,
        Nearness(0),
        partial(items_of, rule),
        partial(_filed, n_bands=n_bands, n_rows=n_rows, tolerance_s=tolerance_s),
        partial(_asked, n_bands=n_bands, n_rows=n_rows, tolerance_s=tolerance_s),
        partial(matches_of, rule),
        AT_A_TIME,
    )


def items_of(rule: SameTalk, rows: pa.Table) -> pa.Table:
    """Filters transcripts (with `duration_s`) for those that are compared; those of purged videos have no signature."""
    enough = pc.greater_equal(rows.column("n_words"), rule.min_words)
    known = pc.and_(pc.greater(rows.column("duration_s"), 0.0), pc.not_equal(rows.column("minhash"), b""))
    return rows.filter(pc.and_(enough, known)).select(["video_id", "duration_s", "minhash"])


def matches_of(rule: SameTalk, pairs: Sequence[tuple[Item, Item]]) -> list[MatchRow]:
    """The pairs that are alike."""
    return [match_of(TEXTS, a, b) for (a, _), (b, _) in pairs if _is_same(rule, a, b)]


def _is_same(rule: SameTalk, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if abs(a["duration_s"] - b["duration_s"]) > rule.duration_tolerance_s:
        return False
    of_a, of_b = (np.frombuffer(row["minhash"], "<u4") for row in (a, b))
    return bool((of_a == of_b).mean() >= rule.jaccard)


def find_repeats(matches: pa.Table, videos: pa.Table) -> dict[str, str]:
    """{video_id: the first, by id, of the videos that it repeats} among `videos`, given the matches of TEXTS."""
    matches = among(matches, videos)
    names = (matches.column(f"{side}video_id").to_pylist() for side in SIDES)
    return {video: group[0] for group in groups_of(zip(*names, strict=True)) for video in group[1:]}


def _filed(items: pa.Table, n_bands: int, n_rows: int, tolerance_s: float) -> Filed:
    bucket = _buckets(items.column("duration_s").to_numpy(), tolerance_s)
    each = np.ones(items.num_rows, np.int64)
    return Filed(each, _keys(_folded(items, n_bands, n_rows), bucket), each)


def _asked(items: pa.Table, n_bands: int, n_rows: int, tolerance_s: float) -> Wanted:
    """Looks in two buckets, since durations within the tolerance are in two buckets at most."""
    duration_s, folded = items.column("duration_s").to_numpy(), _folded(items, n_bands, n_rows)
    reach = tolerance_s + _SLACK_S / 4
    keys = [_keys(folded, _buckets(duration_s + shift, tolerance_s)) for shift in (-reach, reach)]
    owners = np.arange(items.num_rows)
    return [[(owners, of_bucket) for of_bucket in of_band] for of_band in np.stack(keys, axis=1)]


def _buckets(duration_s: NDArray[np.float64], tolerance_s: float) -> Int64:
    return np.floor(duration_s / (2 * tolerance_s + _SLACK_S)).astype(np.int64)


def _keys(folded: Hashes, bucket: Int64) -> Hashes:
    return splitmix64(folded ^ splitmix64(bucket.astype(np.uint64))[None, :])


def _folded(items: pa.Table, n_bands: int, n_rows: int) -> Hashes:
    """[bands, N] one 64-bit number for the words of each band (multiply and xor, as FNV-1 does)."""
    signatures = signature_matrix(items.column("minhash"))
    folded = np.full((n_bands, len(signatures)), 0xCBF29CE484222325, dtype=np.uint64)
    for i in range(n_rows):
        words = signatures[:, i : n_bands * n_rows : n_rows].T
        folded = (folded * np.uint64(0x100000001B3)) ^ words
    return folded


def signature_matrix(column: pa.ChunkedArray) -> NDArray[np.uint32]:
    """[N, 64] from a column of little-endian uint32 signatures. Raises ValueError if one has another size."""
    values = column.to_pylist()
    sizes = sorted({len(value) for value in values})
    if sizes not in ([], [4 * N_PERMUTATIONS]):
        raise ValueError(f"minhash: signatures of {sizes} bytes, expected {4 * N_PERMUTATIONS}")
    return np.frombuffer(b"".join(values), "<u4").reshape(-1, N_PERMUTATIONS)


def bands(jaccard: float) -> tuple[int, int]:
    """(bands, rows per band) that datasketch chooses for a threshold."""
    if jaccard >= 1:
        return 1, N_PERMUTATIONS
    index = MinHashLSH(threshold=jaccard, num_perm=N_PERMUTATIONS, weights=MISSES_WEIGH_MORE)
    return int(index.b), int(index.r)

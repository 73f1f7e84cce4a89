"""Which videos show or say what a removed one did: known by signatures that stay when the video's own rows are gone.

    removals/signatures.parquet    by removed video and kind: 40 bits of each hash of its pictures, or of its words

The hashes are those of `packs.phashes` (of whole pictures) and `transcripts.minhash`, each mixed with a salt of the
data set and cut to 40 bits: 2^24 pictures have the same, so no picture's hash can be told from it. Hashes that are
equal bit by bit find copies of the file and light re-encodes; what was altered more is found by `matches` while the
removed video's rows are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import UInt64, hash_name, splitmix64
from manifests.membership import are_in
from manifests.parquet import open_parquet
from manifests.shards import RECORDS
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.likeness.bands import Int64
from pipeline.likeness.texts import N_PERMUTATIONS, SAME_TALK, signature_matrix
from pipeline.media.phash import NOTHING, WHOLE, unpack_all

SIGNATURES = f"{RECORDS}/signatures.parquet"
_FILE = pa.schema(
    [("tombstone", pa.string()), ("kind", pa.string()), ("salt", pa.string()), ("hashes", pa.list_(pa.uint64()))]
)
PICTURES, WORDS = "pictures", "words"
SOURCES = {PICTURES: ("packs", ["video_id", "phashes"]), WORDS: ("transcripts", ["video_id", "minhash", "n_words"])}
LEAST_SHARE = {PICTURES: 0.3, WORDS: SAME_TALK.jaccard}
"""Share of the removed video's hashes that another must have."""
LEAST_PICTURES = 3
"""Equal hashes of pictures below which a likeness may be chance."""
_BITS = np.uint64((1 << 40) - 1)


class Alike(NamedTuple):
    """A video that shows or says what a removed one did. `tombstone`: of that one; `share` of its hashes."""

    video_id: str
    tombstone: str
    kind: str
    share: float


def salted(values: UInt64, salt: str) -> UInt64:
    """[N] 40 bits of each hash under a salt."""
    mixed: UInt64 = splitmix64(splitmix64(values ^ np.uint64(hash_name(0, "signature", salt))))
    return mixed & _BITS


def signatures_of(store: Store, names: Mapping[str, str], salt: str) -> pa.Table:
    """The rows of the file for removed videos, given {video id: its tombstone}; from the tables, so before a purge."""
    wanted = pa.array(sorted(names), pa.string())
    rows = []
    for kind, (table, columns) in SOURCES.items():
        found: dict[str, list[UInt64]] = {}
        for read in store.read_runs(table, columns):
            ids, owners, values = _hashes_in(kind, read.filter(pc.is_in(read.column("video_id"), value_set=wanted)))
            for row, video_id in enumerate(ids):
                found.setdefault(video_id, []).append(values[owners == row])
        for video_id in sorted(found):
            hashes = np.unique(salted(np.concatenate(found[video_id]), salt))
            if len(hashes):
                rows.append({"tombstone": names[video_id], "kind": kind, "salt": salt, "hashes": hashes})
    return pa.Table.from_pylist(rows, schema=_FILE)


def read_signatures(store: Store) -> pa.Table:
    """All signatures of a data set's removed videos; no rows if there are none."""
    try:
        return open_parquet(store.read(SIGNATURES)).read().cast(_FILE)
    except FileNotFoundError:
        return _FILE.empty_table()


def write_signatures(store: Store, signatures: Iterable[pa.Table], renamed: Mapping[str, str] | None = None) -> None:
    """Writes these, of each tombstone and kind the last; under other names where `renamed` has them. None: no file."""
    new = renamed or {}
    rows = [row for table in signatures for row in table.to_pylist()]
    of_each = {
        (name, row["kind"]): {**row, "tombstone": name}
        for row in rows
        for name in [new.get(row["tombstone"], row["tombstone"])]
    }
    if of_each:
        store.write_table(SIGNATURES, pa.Table.from_pylist([of_each[key] for key in sorted(of_each)], schema=_FILE))


def _hashes_in(kind: str, rows: pa.Table) -> tuple[list[str], Int64, UInt64]:
    """(video id of each row that has hashes, [H] the row of each hash, [H] the hashes, not salted)."""
    rows = rows.filter(pc.not_equal(rows.column(SOURCES[kind][1][1]), b""))
    if kind == WORDS:
        rows = rows.filter(pc.greater_equal(rows.column("n_words"), SAME_TALK.min_words))
    ids: list[str] = rows.column("video_id").to_pylist()
    values, counts = (_pictures if kind == PICTURES else _words)(rows)
    owners = np.repeat(np.arange(len(ids)), counts)
    shows = values != NOTHING
    return ids, owners[shows], values[shows]


def _pictures(rows: pa.Table) -> tuple[UInt64, Int64]:
    hashes, counts = unpack_all(rows.column("phashes").to_pylist())
    return hashes[:, WHOLE], counts


def _words(rows: pa.Table) -> tuple[UInt64, Int64]:
    """Each number of a signature together with its place, since only equal places are compared."""
    matrix = signature_matrix(rows.column("minhash")).astype(np.uint64)
    placed = matrix | (np.arange(1, N_PERMUTATIONS + 1, dtype=np.uint64) << np.uint64(32))
    return placed.reshape(-1), np.full(len(matrix), N_PERMUTATIONS, np.int64)


@dataclass
class _Removed:
    """A row of the file, and what each video was found to share with it."""

    tombstone: str
    kind: str
    salt: str
    hashes: frozenset[int]
    shared: dict[str, set[int]]


class Returned:
    """The videos that are like removed ones; `new` reads what was committed since the last call."""

    def __init__(self, store: Store) -> None:
        rows = read_signatures(store).to_pylist()
        self._removed = [
            _Removed(row["tombstone"], row["kind"], row["salt"], frozenset(row["hashes"]), {}) for row in rows
        ]
        kinds = {it.kind for it in self._removed}
        self._followers = {
            kind: Follower(store, table, columns) for kind, (table, columns) in SOURCES.items() if kind in kinds
        }

    def among(self, but: Collection[str]) -> list[Alike]:
        """Those that are like one now, but for some videos: each with the tombstone that it is most like."""
        for kind, follower in self._followers.items():
            for rows in follower.new():
                self._add(kind, rows)
        best: dict[str, Alike] = {}
        for it in self._removed:
            for video_id, shared in it.shared.items():
                share = len(shared) / len(it.hashes)
                enough = it.kind == WORDS or len(shared) >= LEAST_PICTURES
                if video_id in but or not enough or share < LEAST_SHARE[it.kind]:
                    continue
                found = Alike(video_id, it.tombstone, it.kind, round(share, 3))
                best[video_id] = max(found, best.get(video_id, found), key=lambda alike: alike.share)
        return [best[video_id] for video_id in sorted(best)]

    def _add(self, kind: str, rows: pa.Table) -> None:
        mine = [it for it in self._removed if it.kind == kind]
        ids, owners, values = _hashes_in(kind, rows)
        for salt in {it.salt for it in mine}:
            of_salt = [it for it in mine if it.salt == salt]
            found = salted(values, salt)
            hits = np.flatnonzero(
                are_in(np.array(sorted(frozenset().union(*(it.hashes for it in of_salt))), np.uint64), found)
            )
            for row, value in zip(owners[hits].tolist(), found[hits].tolist(), strict=True):
                for it in of_salt:
                    if value in it.hashes:
                        it.shared.setdefault(ids[row], set()).add(value)

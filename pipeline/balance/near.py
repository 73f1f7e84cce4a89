"""Which clips, or videos, show the same: what was found is kept, and only what new ones fall into is searched again.

Candidates are pairs with two near hashes, as they are or mirrored, which agree in a band of bits; each is then compared
hash by hash, once. The pairs are those that a search through everything finds, in whatever order things came, and also
where some are left out (`tests/pipeline/balance/test_near.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.balance.bands import (
    HALF,
    LOW,
    SHIFTS,
    Found,
    Groups,
    Int64,
    Looked,
    bits_of,
    groups_of_hashes,
    joined_found,
    joined_looked,
    members_of,
    pairs_in,
)
from pipeline.balance.shown import ORDER, Shows, named_only, no_shows
from pipeline.media.phash import CENTRE, N_HASHES, NOTHING, WHOLE, Hashes, mirrored

Mask = NDArray[np.bool_]


class Near:
    """Many clips or videos, numbered as they come; and the pairs of them that show the same."""

    def __init__(self, max_distance: int, is_same: Callable[[Hashes, Hashes], bool]) -> None:
        """`is_same`: whether two that have near hashes show the same."""
        self._max_distance, self._is_same = max_distance, is_same
        self._pieces: list[Shows] = []
        self._firsts = np.zeros(1, np.int64)
        self._n_looked = np.zeros(0, np.int64)
        self._bits = self._n_searched = 0
        self._found = joined_found([])
        self._verdicts: dict[int, bool] = {}

    def add(self, shows: Shows) -> None:
        """Adds some."""
        if not len(shows):
            return
        n_looked = np.bincount(looked_up(shows, 0).owners, minlength=len(shows))
        self._n_looked = np.concatenate([self._n_looked, n_looked])
        self._pieces.append(shows)
        self._firsts = np.append(self._firsts, self._firsts[-1] + len(shows))

    def same(self, but: pa.Array) -> tuple[Shows, list[tuple[int, int]]]:
        """Pairs (earlier, later) that show the same, among all but those of these videos.

        They are rows of what comes with them: all that are in a pair, by video and number, without their pictures.
        """
        codes = np.unique(self._candidates(self._are_of(but)).codes)
        codes = codes[np.array([self._verdict(code) for code in codes.tolist()], np.bool_)]
        pairs = np.stack([codes >> HALF, codes & LOW])
        shows, owners = self._in_order(np.unique(pairs))
        by_number = np.argsort(owners)
        rows = np.sort(by_number[np.searchsorted(owners, pairs, sorter=by_number)], axis=0)
        return shows, sorted(zip(rows[0].tolist(), rows[1].tolist(), strict=True))

    # candidates

    def _candidates(self, away: Mask) -> Found:
        """Pairs with near hashes among those that are not `away` [N]."""
        self._search()
        if not away.any():
            return self._found
        bits = bits_of(int(self._n_looked[~away].sum()))
        if bits != self._bits:  # fewer bits make other groups
            return self._search_all(bits, ~away)
        touched = groups_of_hashes(self._looked(away), bits)
        return joined_found([self._found.outside(touched), self._search_groups(touched, ~away)])

    def _search(self) -> None:
        """Takes up what was added since."""
        every = np.ones(len(self._n_looked), np.bool_)
        n_before, n, bits = self._n_searched, len(every), bits_of(int(self._n_looked.sum()))
        if n == n_before:
            return
        if bits != self._bits or 2 * n_before < n:
            self._found = self._search_all(bits, every)
        else:
            touched = groups_of_hashes(self._looked(np.arange(n) >= n_before), bits)
            self._found = joined_found([self._found.outside(touched), self._search_groups(touched, every)])
        self._bits, self._n_searched = bits, n

    def _search_all(self, bits: int, wanted: Mask) -> Found:
        looked = self._looked(wanted)
        ordered = self._in_order(np.flatnonzero(wanted))[1]
        return pairs_in([looked] * len(SHIFTS), bits, self._max_distance, ordered)

    def _search_groups(self, groups: Groups, wanted: Mask) -> Found:
        by_piece = [members_of(part, groups, self._bits) for part in self._parts()]
        members = [joined_looked(of_band) for of_band in zip(*by_piece, strict=True)]
        members = [looked.take(wanted[looked.owners]) for looked in members]
        ordered = self._in_order(np.unique(np.concatenate([looked.owners for looked in members])))[1]
        return pairs_in(members, self._bits, self._max_distance, ordered)

    def _looked(self, wanted: Mask) -> Looked:
        return joined_looked([part.take(wanted[part.owners]) for part in self._parts()])

    def _parts(self) -> Iterator[Looked]:
        return (looked_up(piece, first) for piece, first in zip(self._pieces, self._firsts.tolist(), strict=False))

    # those that were added

    def _are_of(self, video_ids: pa.Array) -> Mask:
        of = [pc.is_in(piece.table.column("video_id"), value_set=video_ids) for piece in self._pieces]
        return np.concatenate([np.zeros(0, np.bool_), *(one.to_numpy() for one in of)]).astype(np.bool_)

    def _in_order(self, owners: Int64) -> tuple[Shows, Int64]:
        """Some, by video and number of the clip: in no order that depends on when they came; and their numbers."""
        edges = np.searchsorted(owners, self._firsts)
        tables = [no_shows().table.append_column("owner", pa.array([], pa.int64()))]
        for i, piece in enumerate(self._pieces):
            here = owners[edges[i] : edges[i + 1]]
            rows = piece.table.take(pa.array(here - self._firsts[i]))
            tables.append(rows.append_column("owner", pa.array(here)))
        table = pa.concat_tables(tables).sort_by(ORDER)
        return named_only(table.drop_columns(["owner"])), table.column("owner").to_numpy()

    def _hashes_of(self, owner: int) -> Hashes:
        piece = int(np.searchsorted(self._firsts, owner, side="right")) - 1
        return self._pieces[piece].hashes_of(owner - int(self._firsts[piece]))

    def _verdict(self, code: int) -> bool:
        if code not in self._verdicts:
            self._verdicts[code] = self._is_same(self._hashes_of(code >> HALF), self._hashes_of(code & LOW))
        return self._verdicts[code]


def looked_up(shows: Shows, first: int) -> Looked:
    """All hashes by which some are looked up, numbered from `first` on; mirrored ones of two parts."""
    turned = mirrored(shows.hashes[:, (WHOLE, CENTRE)])
    hashes = np.concatenate([shows.hashes.reshape(-1), turned.reshape(-1)])
    owners = np.repeat(np.arange(first, first + len(shows), dtype=np.int64), shows.counts())
    owners = np.concatenate([np.repeat(owners, N_HASHES), np.repeat(owners, 2)])
    is_turned = np.arange(len(hashes)) >= shows.hashes.size
    return Looked(hashes, owners, is_turned).take(hashes != NOTHING)

"""Whether two of one whole's pictures are near two of another's: one alone may be so by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.balance.bands import Int64
from pipeline.media.phash import NOTHING, Hashes

_AT_A_TIME = 1 << 20
"""Pairs of hashes that are compared together."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """Hashes are near if at most `max_distance` bits differ. Where `apart` is given, near ones count only if two of
    the one whole (a video) are near two of the other, and either two lie more than `apart` bits from each other.
    """

    max_distance: int
    apart: int | None = None


Spans = tuple[Int64, Int64]
"""The first row of each, and the one after its last."""


def are_together(
    some: Hashes, spans: Spans, others: Hashes, other_spans: Spans, nearness: Nearness
) -> NDArray[np.bool_]:
    """[N] whether hashes in each span of `some` and in that of `others` are near as `apart` asks for."""
    rows = zip(*(side.tolist() for side in (*spans, *other_spans)), strict=True)
    found = [_agree(some[a:b], others[c:d], nearness) for a, b, c, d in rows]
    return np.array(found, np.bool_)


def _agree(some: Hashes, others: Hashes, nearness: Nearness) -> bool:
    n_rows = max(1, _AT_A_TIME // max(1, len(others)))
    near, n_near = [], 0
    for begin in range(0, len(some), n_rows):
        is_near = np.bitwise_count(some[begin : begin + n_rows, None] ^ others) <= nearness.max_distance
        near.append(is_near)
        n_near += int(np.count_nonzero(is_near))
    if n_near < 2:
        return False
    row, other = np.nonzero(np.concatenate(near))
    shows = some[row] != NOTHING
    return _lie_apart(some[row[shows]], nearness) and _lie_apart(others[other[shows]], nearness)


def _lie_apart(hashes: Hashes, nearness: Nearness) -> bool:
    """Whether two of these do."""
    assert nearness.apart is not None
    if len(hashes) < 2:
        return False
    different = np.unique(hashes)
    if (np.bitwise_count(different ^ different[0]) > nearness.apart).any():
        return True
    return bool((np.bitwise_count(different[:, None] ^ different[None, :]) > nearness.apart).any())

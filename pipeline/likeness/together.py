"""Whether two of one whole's pictures are near two of another's: one alone may be so by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.likeness.bands import Int64
from pipeline.media.phash import NOTHING, Hashes

_AT_A_TIME = 1 << 20
"""Pairs of hashes that are compared together."""
_TOGETHER = 1 << 15
"""Hashes of spans, the longest of them padded to, that are compared at a time: they stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """Hashes are near if at most `max_distance` bits differ. Where `apart` is given, near ones count only if two of
    the one whole (a video) are near two of the other, and either two lie more than `apart` bits from each other.
    """

    max_distance: int
    apart: int | None = None


Spans = tuple[Int64, Int64]
"""Start and end row (exclusive) of each span."""


def are_together(
    some: Hashes, spans: Spans, others: Hashes, other_spans: Spans, nearness: Nearness
) -> NDArray[np.bool_]:
    """[N] whether hashes in each span of `some` and in that of `others` are near as `apart` asks for."""
    found = _have_two_near(some, spans, others, other_spans, nearness.max_distance)
    maybe = np.flatnonzero(found)
    rows = zip(*(side[maybe].tolist() for side in (*spans, *other_spans)), strict=True)
    found[maybe] = [_agree(some[a:b], others[c:d], nearness) for a, b, c, d in rows]
    return found


def _have_two_near(
    some: Hashes, spans: Spans, others: Hashes, other_spans: Spans, max_distance: int
) -> NDArray[np.bool_]:
    """[N] whether two hashes in a span of `others` are near any in that of `some`: without that they can't agree."""
    n_some, n_others = spans[1] - spans[0], other_spans[1] - other_spans[0]
    n_most = np.maximum(n_some, n_others)
    order = np.argsort(n_most)[::-1]
    found, begin = np.zeros(len(order), np.bool_), 0
    while begin < len(order):
        spans_here = order[begin : begin + max(1, _TOGETHER // max(1, int(n_most[order[begin]])))]
        rows = _padded(some, spans[0][spans_here], n_some[spans_here])
        columns = _padded(others, other_spans[0][spans_here], n_others[spans_here])
        found[spans_here] = _n_near(rows, columns, max_distance) > 1
        begin += len(spans_here)
    return found


def _n_near(rows: Hashes, columns: Hashes, max_distance: int) -> Int64:
    """[N] how many hashes of columns [C, N] are near any of rows [R, N]."""
    differs, distance = np.empty_like(columns), np.empty(columns.shape, np.uint8)
    least = np.full(columns.shape, 255, np.uint8)
    for row in rows:
        np.bitwise_xor(row, columns, out=differs)
        np.minimum(least, np.bitwise_count(differs, out=distance), out=least)
    return np.asarray(np.count_nonzero(least <= max_distance, axis=0), np.int64)


def _padded(hashes: Hashes, begins: Int64, n: Int64) -> Hashes:
    """[most, N] the hashes of N spans, one below the other; the last one again where a span has fewer."""
    at = np.minimum(np.arange(n.max(initial=0))[:, None], n - 1) + begins
    return hashes.take(at, mode="clip") if len(hashes) else np.zeros((0, len(n)), np.uint64)


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
    """Whether two of these hashes lie more than `apart` bits from each other."""
    assert nearness.apart is not None
    if len(hashes) < 2:
        return False
    different = np.unique(hashes)
    if (np.bitwise_count(different ^ different[0]) > nearness.apart).any():
        return True
    return bool((np.bitwise_count(different[:, None] ^ different[None, :]) > nearness.apart).any())

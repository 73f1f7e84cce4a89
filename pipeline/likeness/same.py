"""Whether two clips or videos show the same: many pictures that agree, or nearly all of few, in their order.

Pictures agree where hashes of the same region are near. What strangers share (a logo, a bar of text) makes a region of
all their pictures alike, so pictures count as several only where they are told apart. Of many pictures, three that lie
apart are enough. Of few, in which a copy seldom leaves three that do, what changes from one picture to the next must
change in the same bits: a logo or a wall does not change, and strangers change in others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.likeness.bands import Int64
from pipeline.likeness.shown import APART, FEW, distinct_in
from pipeline.media.phash import ALIGNED, NOTHING, Hashes, mirrored_pictures


@dataclass(frozen=True, slots=True)
class Likeness:
    """When pictures, clips and videos count as the same. Measured in docs/lab/clips.md and docs/lab/repeats.md."""

    max_distance: int = 8
    """Two pictures are the same if at most this many of the 64 bits of their hashes differ."""
    min_share: float = 0.3
    """Clips are the same if one shows at least this share of the other's distinct pictures."""
    video_share: float = 0.3
    """The same of videos."""
    min_frames: int = 3
    """One of the two must show this many distinct pictures: fewer are too little to tell them apart."""
    intro_videos: int = 3
    """A clip that is in this many videos of a channel is a stock intro."""


LIKENESS = Likeness()

_LEAST_SHARED = 3
"""Pictures that two clips must have in common: two dark clips with the same logo agree in one or two pictures."""
_LEAST_TOGETHER = 2
"""Of them so many must agree in the same region: one picture alone can agree by chance, or by a logo."""

_SHARE_OF_FEW = 0.75
"""Share of the pictures of the one with fewer that must agree where they are few."""
_LEAST_ALIKE, _MEAN_ALIKE = 3, 5
"""Bits that change alike between two of few pictures and between their counterparts: at least, and in the mean."""

_OURS, _THEIRS = (list(regions) for regions in zip(*ALIGNED, strict=True))
"""The regions of ALIGNED, as columns of the hashes of one picture and of the other."""


def are_same(a: Hashes, b: Hashes, rule: Likeness, share: float, distinct: tuple[Hashes, Hashes] | None = None) -> bool:
    """Whether things with these pictures (`shown.py`), in their order, show the same. `distinct`: those of each that
    are, if they are known.
    """
    if not _some_agree(a, b, rule.max_distance):
        return False
    ours, theirs = distinct or (distinct_pictures(a, rule), distinct_pictures(b, rule))
    n_least, n_most = sorted((len(ours), len(theirs)))
    if n_least >= rule.min_frames and shared(ours, theirs, rule.max_distance) >= share:
        return True
    return n_least <= FEW and n_most >= rule.min_frames and few_agree(a, b, rule)


def _some_agree(a: Hashes, b: Hashes, max_distance: int) -> bool:
    """Whether _LEAST_SHARED pictures of each agree with one of the other's in any region: most strangers' don't."""
    for other in (b, mirrored_pictures(b)):
        near = _differing(a, other) <= max_distance
        if min(near.any(axis=(1, 2)).sum(), near.any(axis=(0, 2)).sum()) >= _LEAST_SHARED:
            return True
    return False


def distinct_pictures(hashes: Hashes, rule: Likeness) -> Hashes:
    """The distinct pictures of one clip or video."""
    return hashes[are_distinct(hashes, np.array([len(hashes)]), rule)]


def are_distinct(hashes: Hashes, counts: Int64, rule: Likeness) -> NDArray[np.bool_]:
    """[P] which pictures of several clips or videos are; for many at a time it takes little longer than for one."""
    return distinct_in(hashes, counts, max(APART, rule.max_distance))


def shared(a: Hashes, b: Hashes, max_distance: int) -> float:
    """Share of the pictures of the one with fewer that the other shows too, as they are or mirrored.

    Pictures that are alike in a region count once in it: a logo or a bar makes some regions of many pictures alike.
    Those that agree in different regions count together if at least two do in each. 0 if fewer than three agree,
    which can happen by chance.
    """
    fewer, more = (a, b) if len(a) <= len(b) else (b, a)
    if not len(fewer):
        return 0.0
    found = max(_n_agreeing(fewer, other, max_distance) for other in (more, mirrored_pictures(more)))
    return found / len(fewer) if found >= _LEAST_SHARED else 0.0


def _n_agreeing(some: Hashes, others: Hashes, max_distance: int) -> int:
    """How many pictures of each agree with one of the other in a region in which at least _LEAST_TOGETHER do."""
    near = _differing(some, others) <= max_distance
    of_some, of_others = (np.asarray(near.any(axis=axis)) for axis in (1, 0))
    enough = np.minimum(of_some.sum(axis=0), of_others.sum(axis=0)) >= _LEAST_TOGETHER
    found: tuple[set[int], set[int]] = (set(), set())
    for k in np.flatnonzero(enough).tolist():
        kept = [
            _apart(hashes[:, region], np.flatnonzero(agrees[:, k]), max(APART, max_distance))
            for hashes, region, agrees in ((some, _OURS[k], of_some), (others, _THEIRS[k], of_others))
        ]
        if min(map(len, kept)) >= _LEAST_TOGETHER:
            for rows, more in zip(found, kept, strict=True):
                rows.update(more)
    return min(map(len, found))


def _differing(some: Hashes, others: Hashes) -> NDArray[np.uint8]:
    """[N, M, pairs of regions] the bits in which pictures differ; 255 where one of the regions shows nothing."""
    ours, theirs = some[:, None, _OURS], others[None, :, _THEIRS]
    differing: NDArray[np.uint8] = np.asarray(np.bitwise_count(ours ^ theirs))
    differing[(ours == NOTHING) | (theirs == NOTHING)] = 255
    return differing


def _apart(hashes: Hashes, rows: Int64, max_distance: int) -> list[int]:
    """The rows whose hashes are further than this from those of every earlier one that was kept."""
    kept: dict[int, int] = {}
    for row, value in zip(rows.tolist(), hashes[rows].tolist(), strict=True):
        if all((value ^ other).bit_count() > max_distance for other in kept.values()):
            kept[row] = value
    return list(kept)


def few_agree(a: Hashes, b: Hashes, rule: Likeness) -> bool:
    """Whether most pictures of the one with fewer agree with the other's in one region, in the same order.

    At least three and `min_frames` must, and they must be told apart: each two of them are nearer to their own
    counterparts than to each other's.
    """
    fewer, more = (a, b) if len(a) <= len(b) else (b, a)
    least = max(rule.min_frames, _LEAST_SHARED, int(np.ceil(len(fewer) * _SHARE_OF_FEW)))
    if len(fewer) < least:
        return False
    for other in (more, mirrored_pictures(more)):
        differing = _differing(fewer, other)
        near = differing <= rule.max_distance
        n_near = (np.asarray(near.any(axis=axis)).sum(axis=0) for axis in (0, 1))
        enough = np.minimum(*n_near) >= least
        of_parts = differing[:, :, enough].transpose(2, 0, 1).astype(int)
        if any(_agree_in_order(of_part, rule.max_distance, least) for of_part in of_parts):
            return True
    return False


def _agree_in_order(differing: NDArray[np.int_], max_distance: int, least: int) -> bool:
    """Whether at least `least` frames match one to one, given distances [N, M]."""
    places = np.argwhere(differing <= max_distance)
    nearest = np.argsort(differing[tuple(places.T)], kind="stable")
    found: list[tuple[int, int]] = []
    n_bits = 0
    for i, j in places[nearest].tolist():
        if not all((i - row) * (j - column) > 0 for row, column in found):
            continue
        alike = [_bits_changed_alike(differing, (i, j), other) for other in found]
        if min(alike, default=_LEAST_ALIKE) >= _LEAST_ALIKE:
            found.append((i, j))
            n_bits += sum(alike)
    n_pairs = len(found) * (len(found) - 1) / 2
    return len(found) >= least and n_bits >= _MEAN_ALIKE * n_pairs


def _bits_changed_alike(differing: NDArray[np.int_], one: tuple[int, int], other: tuple[int, int]) -> int:
    """Bits that change alike between two pictures and between their counterparts, less those that change contrarily.

    A bit that changes on one side alone counts once among those that differ in the pairs, and once crosswise.
    """
    crosswise = differing[one[0], other[1]] + differing[other[0], one[1]]
    return int(crosswise - differing[one] - differing[other]) // 2

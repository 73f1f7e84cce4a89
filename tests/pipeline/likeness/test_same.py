"""Many pictures that agree are a repeat; of few nearly all must, in their order, and change in the same bits."""

import numpy as np
import pytest

from pipeline.likeness.same import LIKENESS, Likeness, are_same, few_agree, shared
from pipeline.likeness.shown import APART, distinct_in
from pipeline.media.phash import BEGIN, CENTRE, END, INNER, N_HASHES, WHOLE, Hashes, mirrored_pictures


def scenes(seed: int, count: int = 6) -> Hashes:
    """Hashes of a shot after shot: random, so far apart."""
    return np.random.default_rng(seed).integers(1, 2**63, (count, N_HASHES), dtype=np.uint64)


def changed(hashes: Hashes, n_bits: int, seed: int) -> Hashes:
    """These hashes with so many bits of each changed, others in each."""
    flips = np.random.default_rng(seed).permuted(np.tile(np.arange(64) < n_bits, (*hashes.shape, 1)), axis=-1)
    return hashes ^ (flips.astype(np.uint64) << np.arange(64, dtype=np.uint64)).sum(axis=-1, dtype=np.uint64)


def one_scene(seed: int, count: int = 4) -> Hashes:
    """Pictures of one scene, each 5 bits from it, so that they are distinct in the squares at both ends alone."""
    shown = changed(np.repeat(scenes(0, 1), count, axis=0), 5, seed)
    shown[:, [BEGIN, END]] = scenes(seed, count)[:, [BEGIN, END]]
    return shown


def agreeing_only_in(part: int, ours: Hashes) -> Hashes:
    """Pictures that agree with these in one part."""
    theirs = scenes(99, len(ours))
    theirs[:, part] = ours[:, part]
    return theirs


def same(a: Hashes, b: Hashes, rule: Likeness = LIKENESS) -> bool:
    found = are_same(a, b, rule, rule.min_share)
    assert are_same(b, a, rule, rule.min_share) == found
    return found


def test_sharing_counts_the_pictures_of_the_shorter_and_one_is_chance() -> None:
    a = scenes(1)
    assert shared(a, a[:3], 10) == 1.0
    assert shared(a, np.concatenate([a[:1], scenes(2, 5)]), 10) == 0.0
    assert shared(a, a[:0], 10) == shared(a[:0], a, 10) == 0.0
    assert distinct_in(np.concatenate([a, a]), np.array([12]), 10).sum() == 6


def test_pictures_that_agree_in_different_parts_count_together_where_two_agree_in_each() -> None:
    def agreeing(parts: list[int]) -> float:
        """Of a copy that agrees with six pictures in one part each, or in none (-1)."""
        ours, theirs = scenes(1), scenes(2)
        for row, part in enumerate(parts):
            theirs[row, part] = ours[row, part] if part >= 0 else theirs[row, part]
        return shared(ours, theirs, 8)

    assert agreeing([BEGIN, BEGIN, INNER, INNER, -1, -1]) == 4 / 6
    assert agreeing([BEGIN, BEGIN, BEGIN, INNER, -1, -1]) == 3 / 6
    assert agreeing([BEGIN, BEGIN, INNER, CENTRE, END, -1]) == agreeing([BEGIN, BEGIN, -1, -1, -1, -1]) == 0


def test_few_pictures_of_one_scene_are_found_by_what_changes_and_strangers_change_otherwise() -> None:
    ours = one_scene(1)
    copy = agreeing_only_in(WHOLE, changed(ours, 3, 2))
    assert shared(ours, copy, 8) == 0, "in the part that agrees they lie too near"
    assert same(ours, copy) and same(ours, mirrored_pictures(copy))
    stranger = agreeing_only_in(WHOLE, one_scene(3))
    assert not same(ours, stranger)
    assert not few_agree(ours, stranger, Likeness(max_distance=10)), "near by their scene alone"


@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2], [2, 1, 0], [1, 2, 0]])
def test_few_pictures_in_another_order_are_others(order: list[int]) -> None:
    ours = one_scene(1, 3)
    theirs = agreeing_only_in(INNER, changed(ours, 2, 2))
    assert same(ours, theirs) and not same(ours, theirs[order])


def test_nearly_all_of_few_must_agree() -> None:
    ours = scenes(1, 4)
    theirs = agreeing_only_in(INNER, ours)
    assert few_agree(ours, theirs, LIKENESS)
    theirs[0] = scenes(7, 1)
    assert few_agree(ours, theirs, LIKENESS)
    assert not few_agree(np.concatenate([ours, scenes(8, 1)]), np.concatenate([theirs, scenes(9, 1)]), LIKENESS)
    assert not few_agree(ours[2:], theirs[2:], LIKENESS), "two pictures"


def test_one_of_both_shows_as_many_distinct_pictures_as_are_asked_for() -> None:
    ours = scenes(1, 4)
    theirs = np.repeat(ours[:1], 4, axis=0)
    theirs[:, INNER] = ours[:, INNER]
    assert distinct_in(theirs, np.array([4]), APART).sum() == 1, "a copy whose logo hides what lies apart"
    assert same(ours, theirs)
    assert not same(theirs, theirs)
    assert not same(ours, theirs, Likeness(min_frames=5))


@pytest.mark.parametrize("turned", [False, True])
def test_a_copy_cropped_on_all_sides_shows_what_the_inner_part_of_the_original_does(turned: bool) -> None:
    ours = scenes(1)
    theirs = agreeing_only_in(WHOLE, ours)
    theirs[:, WHOLE] = ours[:, INNER]
    pair = (theirs, ours) if turned else (ours, theirs)
    assert shared(*pair, 8) == 1.0

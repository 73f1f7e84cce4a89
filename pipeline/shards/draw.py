"""Draws splits within categories. A component: videos that stay together, for they share a channel or repeat others.

1. Where a category lacks a split, one of its components is given to that, in the category that has the fewest to spare
   first. The first in the order of the draw is held out, but one that holds more than half of the category comes last.
2. Of the others, in the same order, the first of each category are held out until that split has its share.

So a category of two components or more is in train and in val (of three, in test too), and no share is further from
what was asked for than by one component; what is in shards already is counted, and stays. Two categories whose few
components are the same may leave no such choice. If val would have nothing at all, it gets a component in any case,
though not one with more than half of everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.shards.clips import Int64

TRAIN = "train"
HELD_OUT = ("val", "test")
SPLITS = (TRAIN, *HELD_OUT)
"""The code of a split is its index here."""

Codes = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many samples each component has of each category: columns [P], components in the order of the draw."""

    component: Int64
    category: Int64
    n: Int64
    n_components: int

    @classmethod
    def of(cls, component: Int64, category: Int64, n: Int64) -> Amounts:
        """Adds up those of videos; a component without samples has no row."""
        n_components, n_categories = (int(column.max(initial=-1)) + 1 for column in (component, category))
        pairs, where = np.unique(component * n_categories + category, return_inverse=True)
        sums = np.bincount(where, weights=n, minlength=len(pairs)).astype(np.int64)
        pairs, sums = pairs[sums > 0], sums[sums > 0]
        return cls(pairs // max(1, n_categories), pairs % max(1, n_categories), sums, n_components)

    def with_all(self, category: int) -> Amounts:
        """And one more category, which stands for all."""
        whole = np.bincount(self.component, weights=self.n, minlength=self.n_components).astype(np.int64)
        rows = np.flatnonzero(whole)
        columns = (self.component, rows), (self.category, np.full(len(rows), category)), (self.n, whole[rows])
        component, every, n = (np.concatenate(pair) for pair in columns)
        order = np.argsort(component, kind="stable")
        return Amounts(component[order], every[order], n[order], self.n_components)


def draw(amounts: Amounts, have: Int64, shares: Sequence[float]) -> Codes:
    """[N] the split of each component.

    `have` [K + 1, S]: samples by category and split that are placed already, in the last row those of all categories,
    also of those without a component here. `shares` [S]: what each split should have of each category.
    """
    have = have.copy()
    drawn = np.zeros(amounts.n_components, np.int8)
    is_drawn = np.zeros(amounts.n_components, np.bool_)
    for component, split in _fill_gaps(amounts.with_all(len(have) - 1), have, shares).items():
        drawn[component], is_drawn[component] = split, True
    main = _main_categories(amounts)
    whole = np.bincount(amounts.component, weights=amounts.n, minlength=amounts.n_components).astype(np.int64)
    for category in range(len(have) - 1):
        rows = np.flatnonzero((main == category) & ~is_drawn)
        total = int(have[category].sum()) + int(whole[rows].sum())
        for split in range(1, len(SPLITS)):
            middle = np.cumsum(whole[rows]) - whole[rows] / 2
            n = int(np.searchsorted(middle, shares[split] * total - have[category, split]))
            drawn[rows[:n]], rows = split, rows[n:]
    return drawn


def _main_categories(amounts: Amounts) -> Int64:
    """[N] the category of which each component has most; -1 if it has no sample."""
    main = np.full(amounts.n_components, -1, np.int64)
    order = np.lexsort((-amounts.category, amounts.n))
    main[amounts.component[order]] = amounts.category[order]  # of several the last counts
    return main


def _fill_gaps(amounts: Amounts, have: Int64, shares: Sequence[float]) -> dict[int, int]:
    """{component: split} of those that are given to a split that lacks a category; `have` grows by them."""
    asked = [[split for split, share in enumerate(shares) if share > 0]] * len(have)
    members = [_members(amounts, category) for category in range(len(have))]
    n_left = [len(some) for some in members]
    every = len(have) - 1
    asked[every] = asked[every][:2]
    whole = int(have[every].sum() + amounts.n[amounts.category == every].sum())
    given: dict[int, int] = {}
    while True:
        lacks = [[s for s in asked[i] if not have[i, s]][:n] for i, n in enumerate(n_left)]
        gaps = [category for category, splits in enumerate(lacks) if splits]
        if not gaps:
            return given
        category = min(gaps, key=lambda i: (n_left[i] == 1 and not have[i].any(), n_left[i] - len(lacks[i]), n_left[i]))
        component = next(one for one in members[category] if one not in given)
        of_it = slice(*np.searchsorted(amounts.component, [component, component + 1]))
        n_of = dict(zip(amounts.category[of_it].tolist(), amounts.n[of_it].tolist(), strict=True))
        split = next((split for split in lacks[category] if split), 0)
        split = 0 if category == every and 2 * n_of[every] > whole else split
        given[component] = split
        for other, n in n_of.items():
            have[other, split] += n
            n_left[other] -= 1


def _members(amounts: Amounts, category: int) -> list[int]:
    """The components of a category in the order of the draw; one that holds more than half of it is the last."""
    rows = amounts.category == category
    component, n = amounts.component[rows], amounts.n[rows]
    order = np.argsort(2 * n > n.sum(), kind="stable")
    members: list[int] = component[order].tolist()
    return members

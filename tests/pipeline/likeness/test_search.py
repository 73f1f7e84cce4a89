"""A hash is compared with the first of its group, whatever the files, the pieces and the rounds are."""

from itertools import pairwise

import numpy as np
import pytest

from pipeline.likeness import bands
from pipeline.likeness import search as near_search
from pipeline.likeness.bands import ALL_BITS, HALF, LOW, SHIFTS, HashQuery
from pipeline.likeness.search import Owners, Search
from pipeline.likeness.together import Nearness

N_THINGS = 50
N_PARTS = np.array([1, 3, 1, 5] * 5)
"""Things that each whole has."""
WHOLES = np.repeat(np.arange(20), N_PARTS)


def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    """Hashes of which many agree in 26 bits of a band, more in 20, and some differ in few of all."""
    high = rng.choice(rng.integers(1, 2**32, 6, dtype=np.uint64), n) ^ (rng.integers(0, 3, n, dtype=np.uint64) << 8)
    return high << np.uint64(32) | rng.choice(rng.integers(0, 2**32, 4, dtype=np.uint64), n) ^ rng.integers(
        0, 4, n, dtype=np.uint64
    )


def by_the_rule(hashes: np.ndarray, owners: np.ndarray, asked: HashQuery, nearness: Nearness) -> list[tuple[int, int]]:
    found = set()
    rows = list(zip(owners.tolist(), hashes.tolist(), strict=True))
    for shift in SHIFTS if nearness.max_distance else (0,):
        for key, owner, bits, run in zip(
            asked.hashes.tolist(), asked.owners.tolist(), asked.bits.tolist(), asked.runs.tolist(), strict=True
        ):
            group = [
                (o, k)
                for o, k in rows
                if o < owner and k and (k << shift) % 2**64 >> (64 - bits) == (key << shift) % 2**64 >> (64 - bits)
            ]
            near = [o for o, k in group if (k ^ key).bit_count() <= nearness.max_distance][: near_search.CROWD]
            n_near = len(near)
            if nearness.apart is not None:
                of_run = asked.hashes[asked.runs == run].tolist()
                near = [
                    o for o in near if agree_in_two([k for p, k in rows if WHOLES[p] == WHOLES[o]], of_run, nearness)
                ]
            found |= {(o, owner) for o in (near if n_near < near_search.CROWD else near[: near_search.OF_A_CROWD])}
    return sorted(found)


def agree_in_two(some: list[int], others: list[int], nearness: Nearness) -> bool:
    assert nearness.apart is not None
    near = [(a, b) for a in some if a for b in others if (a ^ b).bit_count() <= nearness.max_distance]
    return all(
        any((x ^ y).bit_count() > nearness.apart for x in side for y in side) for side in zip(*near, strict=True)
    ) and bool(near)


@pytest.mark.parametrize("nearness", [Nearness(0), Nearness(3), Nearness(3, 3), Nearness(3, 8)])
@pytest.mark.parametrize(("seed", "crowd"), [(0, 1), (1, 3), (0, 64)])
def test_files_give_what_the_rule_says_however_they_are_cut(
    seed: int, crowd: int, nearness: Nearness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_search, "CROWD", crowd)
    rng = np.random.default_rng(seed)
    hashes, owners = drawn(rng, 120), np.sort(rng.integers(0, N_THINGS, 120))
    hashes[rng.integers(0, 120, 5)] = 0
    asked = looked_for(rng, hashes, bool(nearness.max_distance))
    wanted = by_the_rule(hashes, owners, asked, nearness)
    assert wanted
    some = (
        ([50], 999, 999, 8, 12),
        ([5, 10, 15, 20, 50], 7, 5, 1, 12),
        ([20, 30, 50], 5, 1, 2, 6),
        ([50], 9, 9, 40, 6),
    )
    for files, at_a_time, pairs, few, slot_bits in some:
        monkeypatch.setattr(bands, "LEAST_BITS", slot_bits)
        monkeypatch.setattr(bands, "_SPARE_BITS", slot_bits - 12)
        monkeypatch.setattr(near_search, "_AT_A_TIME", at_a_time)
        monkeypatch.setattr(near_search, "_PAIRS", pairs)
        monkeypatch.setattr(near_search, "_FEW", few)
        search = Search(asked, nearness)
        for first, end in pairwise([0, *files]):
            search.scan(*file_of(hashes, owners, first, end))
        assert pairs_of(search.found()) == wanted


def looked_for(rng: np.random.Generator, hashes: np.ndarray, is_near: bool) -> HashQuery:
    """What things from the 20th on look for: two of the hashes that they may file, a little altered."""
    bits = rng.choice([12, 20, 26] if is_near else [ALL_BITS], 40).astype(np.uint8)
    picked = rng.choice(hashes[hashes > 0], 40) ^ rng.integers(0, 2, 40, dtype=np.uint64)
    owners = np.concatenate([np.sort(rng.integers(20, N_THINGS, 20)) for _ in range(2)])
    return HashQuery(picked, owners, bits, np.repeat([0, 20], 20) + WHOLES[owners])


def file_of(hashes: np.ndarray, owners: np.ndarray, first: int, end: int) -> tuple[np.ndarray, Owners]:
    """The hashes of things `first` to `end` - 1."""
    begin = int(np.searchsorted(owners, first))
    ends = np.searchsorted(owners, np.arange(first, end), side="right") - begin
    is_last = np.append(WHOLES[first + 1 : end] != WHOLES[first : end - 1], True)
    return hashes[begin : begin + int(ends[-1])], Owners(first, ends, ends[is_last])


def pairs_of(codes: np.ndarray) -> list[tuple[int, int]]:
    return sorted(zip((codes >> HALF).tolist(), (codes & LOW).tolist(), strict=True))


@pytest.mark.parametrize("n_asked", [1, 150])
@pytest.mark.parametrize("few", [1, 8])
def test_a_near_hash_that_shares_a_slot_but_no_group_is_not_found(
    n_asked: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "LEAST_BITS", 6)
    monkeypatch.setattr(bands, "_SPARE_BITS", -9)
    monkeypatch.setattr(near_search, "_FEW", few)
    rng = np.random.default_rng(3)
    hashes = rng.integers(1, 2**64, 150, dtype=np.uint64)
    in_each_band = np.zeros(150, np.uint64)
    for zone in [(0, 19), (26, 38), (45, 64)] * 2:
        in_each_band |= np.uint64(1) << rng.integers(*zone, 150, dtype=np.uint64)
    ends = np.arange(1, 151)
    for first in range(0, 150, n_asked):
        some = hashes[first : first + n_asked]
        owners = np.full(len(some), 999)
        search = Search(HashQuery(some, owners, np.full(len(some), 26, np.uint8), owners), Nearness(6))
        search.scan(hashes ^ in_each_band, Owners(0, ends, ends))
        assert not len(search.found())
        search.scan(hashes ^ np.uint64(1), Owners(150, ends, ends))
        assert len(search.found()) == n_asked


def test_nothing_is_found_where_nothing_is_looked_for_or_filed() -> None:
    nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64)
    ends = np.arange(1, 10)
    search = Search(HashQuery(*nothing), Nearness(8, 10))
    search.scan(np.arange(9, dtype=np.uint64), Owners(0, ends, ends))
    assert not len(search.found())
    one = HashQuery(np.ones(1, np.uint64), np.ones(1, np.int64), np.full(1, 12, np.uint8), np.zeros(1, np.int64))
    search = Search(one, Nearness(8, 10))
    assert not len(search.found())

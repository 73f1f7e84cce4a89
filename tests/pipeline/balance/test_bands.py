"""A hash is compared with the first of its group, whatever the files are cut into."""

import numpy as np
import pytest

from pipeline.balance import bands
from pipeline.balance.bands import ALL_BITS, HALF, LOW, HashQuery, Owners, Search, bits_of, group_of


def test_groups_agree_in_as_many_bits_as_leave_some_hashes_in_each() -> None:
    assert bits_of(np.array([0, 1, 2**15, 2**16, 2**17 - 1, 2**28, 2**40])).tolist() == [12, 12, 13, 14, 14, 26, 26]


def test_the_bands_of_large_groups_cover_all_bits() -> None:
    covered = {shift + bit for shift in bands.SHIFTS for bit in range(bands.MOST_BITS)}
    assert covered == set(range(64))
    value = np.array([0x0123456789ABCDEF], np.uint64)
    assert group_of(value, 8, 12).tolist() == [0x234] and group_of(value, 0, 64).tolist() == value.tolist()


def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    """Hashes of which many agree in 26 bits of a band, more in 20, and some differ in few of all."""
    high = rng.choice(rng.integers(1, 2**32, 6, dtype=np.uint64), n) ^ (rng.integers(0, 3, n, dtype=np.uint64) << 8)
    return high << np.uint64(32) | rng.choice(rng.integers(0, 2**32, 4, dtype=np.uint64), n) ^ rng.integers(
        0, 4, n, dtype=np.uint64
    )


def by_the_rule(hashes: np.ndarray, owners: np.ndarray, asked: HashQuery, max_distance: int) -> list[tuple[int, int]]:
    found = set()
    for shift in bands.SHIFTS if max_distance else (0,):
        for key, owner, bits in zip(asked.hashes.tolist(), asked.owners.tolist(), asked.bits.tolist(), strict=True):
            group = [
                (o, k)
                for o, k in zip(owners.tolist(), hashes.tolist(), strict=True)
                if o < owner and k and (k << shift) % 2**64 >> (64 - bits) == (key << shift) % 2**64 >> (64 - bits)
            ][: bands._CROWD]
            near = [o for o, k in group if (k ^ key).bit_count() <= max_distance]
            found |= {(o, owner) for o in (near if len(group) < bands._CROWD else near[: bands._OF_A_CROWD])}
    return sorted(found)


@pytest.mark.parametrize("max_distance", [0, 3])
@pytest.mark.parametrize("crowd", [1, 3, 64])
@pytest.mark.parametrize("seed", range(4))
def test_files_looked_through_give_what_the_rule_says_however_they_are_cut(
    seed: int, crowd: int, max_distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "_CROWD", crowd)
    rng = np.random.default_rng(seed)
    hashes, owners = drawn(rng, 120), np.sort(rng.integers(0, 50, 120))
    hashes[rng.integers(0, 120, 5)] = 0
    bits = rng.choice([12, 20, 25, 26] if max_distance else [ALL_BITS], 40).astype(np.uint8)
    picked = rng.choice(hashes[hashes > 0], 40) ^ rng.integers(0, 2, 40, dtype=np.uint64)
    asked = HashQuery(picked, rng.integers(20, 50, 40), bits)
    wanted = by_the_rule(hashes, owners, asked, max_distance)
    assert wanted
    for things, at_a_time, pairs in (([50], 999, 999), ([8, 9, 15, 20, 50], 7, 5), ([30, 50], 5, 1)):
        monkeypatch.setattr(bands, "_AT_A_TIME", at_a_time)
        monkeypatch.setattr(bands, "_PAIRS", pairs)
        search = Search(asked, max_distance)
        for first, end in zip([0, *things[:-1]], things, strict=True):
            ends = np.searchsorted(owners, np.arange(first, end), side="right")
            rows = slice(*np.searchsorted(owners, [first, end]).tolist())
            search.look(hashes[rows], Owners(first, ends - rows.start))
        assert pairs_of(search.found()) == wanted


def pairs_of(codes: np.ndarray) -> list[tuple[int, int]]:
    return sorted(zip((codes >> HALF).tolist(), (codes & LOW).tolist(), strict=True))


def test_nothing_is_found_where_nothing_is_looked_for_or_filed() -> None:
    nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.uint8)
    search = Search(HashQuery(*nothing), 8)
    search.look(np.arange(9, dtype=np.uint64), Owners(0, np.arange(1, 10)))
    assert not len(search.found())
    search = Search(HashQuery(np.ones(1, np.uint64), np.ones(1, np.int64), np.full(1, 12, np.uint8)), 8)
    assert not len(search.found())

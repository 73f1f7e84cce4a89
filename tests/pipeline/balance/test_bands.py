"""A hash is compared with the first of its group, found among sorted ones as among all."""

import numpy as np
import pytest

from pipeline.balance import bands
from pipeline.balance.bands import HALF, LOW, Asked, Entries, bits_of, merged_entries, near_pairs, sorted_entries


def test_groups_agree_in_as_many_bits_as_leave_some_hashes_in_each() -> None:
    assert bits_of(np.array([0, 1, 2**17, 2**18 - 1, 2**18, 2**31, 2**40])).tolist() == [16, 16, 17, 17, 18, 31, 32]


def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    """Keys of which many agree in 32 bits, more in 20, and some differ in few of all."""
    high = rng.choice(rng.integers(0, 2**32, 6, dtype=np.uint64), n) ^ (rng.integers(0, 3, n, dtype=np.uint64) << 8)
    return high << np.uint64(32) | rng.choice(rng.integers(0, 2**32, 4, dtype=np.uint64), n) ^ rng.integers(
        0, 4, n, dtype=np.uint64
    )


def by_the_rule(keys: np.ndarray, owners: np.ndarray, asked: Asked, max_distance: int) -> list[tuple[int, int]]:
    found = set()
    for key, owner, bits in zip(asked.keys.tolist(), asked.owners.tolist(), asked.bits.tolist(), strict=True):
        earlier = [(o, k) for o, k in zip(owners.tolist(), keys.tolist(), strict=True) if o < owner]
        group = sorted((o, k) for o, k in earlier if k >> (64 - bits) == key >> (64 - bits))[: bands._CROWD]
        near = [o for o, k in group if (k ^ key).bit_count() <= max_distance]
        found |= {(o, owner) for o in (near if len(group) < bands._CROWD else near[: bands._OF_A_CROWD])}
    return sorted(found)


@pytest.mark.parametrize("crowd", [1, 3, 64])
@pytest.mark.parametrize("seed", range(8))
def test_sorted_files_give_what_the_rule_says_merged_or_not(
    seed: int, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "_CROWD", crowd)
    monkeypatch.setattr(bands, "_AT_A_TIME", 7)
    rng = np.random.default_rng(seed)
    keys, owners = drawn(rng, 120), np.sort(rng.integers(0, 50, 120))
    asked_owners = rng.integers(20, 50, 40)
    bits = rng.choice([16, 20, 31, 32], 40).astype(np.uint8)
    asked = Asked.of(rng.choice(keys, 40) ^ rng.integers(0, 2, 40, dtype=np.uint64), asked_owners, bits)
    cuts = np.searchsorted(owners, [8, 9, 15, 20])
    files: list[Entries] = [
        sorted_entries(k, o) for k, o in zip(np.split(keys, cuts), np.split(owners, cuts), strict=True)
    ]
    wanted = by_the_rule(keys, owners, asked, 3)
    assert wanted and pairs(near_pairs(files, asked, 3)) == wanted
    assert pairs(near_pairs([merged_entries(files[:2]), merged_entries(files[2:4]), files[4]], asked, 3)) == wanted
    assert pairs(near_pairs([merged_entries(files[:4]), files[4]], asked, 3)) == wanted


def pairs(codes: np.ndarray) -> list[tuple[int, int]]:
    return sorted(zip((codes >> HALF).tolist(), (codes & LOW).tolist(), strict=True))


def test_what_is_asked_for_is_found_by_its_highest_bits() -> None:
    keys = np.array([5, 1, 3, 3], np.uint64) << np.uint64(32)
    asked = Asked.of(keys, np.arange(4), np.full(4, 32, np.uint8))
    assert asked.between(1, 4).owners.tolist() == [1, 2, 3] and len(asked.between(6, 9).keys) == 0

"""Columns of hashes are read one by one, and what is damaged is named."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.store.files import Files
from pipeline.likeness.files import (
    Filed,
    LostHashes,
    NearFile,
    OpenFile,
    checksum,
    columns_of,
    merged_files,
    write_filed,
)


def some_filed(seed: int, n_things: int) -> Filed:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, n_things)
    n_parts = np.diff(np.unique(np.append(rng.integers(0, n_things + 1, 99), [0, n_things])))
    return Filed(counts, rng.integers(0, 2**64, (3, int(counts.sum())), dtype=np.uint64), n_parts)


def written(files: Files, sizes: list[int]) -> tuple[list[Filed], list[NearFile]]:
    filed = [some_filed(i, n) for i, n in enumerate(sizes)]
    firsts = np.cumsum([10, *sizes[:-1]]).tolist()
    return filed, [write_filed(files, f"{i}.near", one, firsts[i]) for i, one in enumerate(filed)]


def test_columns_come_back_with_their_owners_from_several_files_and_from_those_merged(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    filed, some = written(files, [500, 0, 1, 90])
    counts = np.concatenate([one.counts for one in filed])
    merged = merged_files(files, some, "all.near")
    assert (tmp_path / "all.near").stat().st_size == merged.n_bytes
    for read in (some, [merged], [merged_files(files, some[:2], "a.near"), merged_files(files, some[2:], "b.near")]):
        for column in range(3):
            parts = [(hashes, owners.of(np.arange(len(hashes)))) for hashes, owners in columns_of(files, read, column)]
            hashes, owners = (np.concatenate(of_all) for of_all in zip(*parts, strict=True))
            assert np.array_equal(hashes, np.concatenate([one.hashes[column] for one in filed]))
            assert np.array_equal(owners, 10 + np.repeat(np.arange(591), counts))


def test_the_rows_of_a_whole_stand_together_in_files_and_in_those_merged(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    filed = [Filed(np.array([2, 0, 1]), np.zeros((1, 3), np.uint64), np.array([2, 1])) for _ in range(2)]
    some = [write_filed(files, f"{i}.near", one, 3 * i) for i, one in enumerate(filed)]
    [(hashes, owners)] = columns_of(files, [merged_files(files, some, "all.near")], 0)
    assert owners.wholes_of(np.arange(len(hashes))).tolist() == [0, 0, 1, 2, 2, 3]
    begins, ends = owners.spans_of(np.array([0, 3]))
    assert begins.tolist() == [0, 5] and ends.tolist() == [2, 6]


@pytest.mark.parametrize("harm", ["gone", "short", "empty", "sums", "counts", "column"])
def test_a_file_that_is_gone_or_damaged_is_lost(tmp_path: Path, harm: str) -> None:
    files = Files(str(tmp_path))
    file = written(files, [50])[1][0]
    path, data = tmp_path / "0.near", bytearray((tmp_path / "0.near").read_bytes())
    if harm == "gone":
        path.unlink()
    if harm in ("short", "empty"):
        path.write_bytes(data[:-5] if harm == "short" else b"")
    if harm in ("sums", "counts", "column"):
        data[{"sums": 3, "counts": file.n_head - 2, "column": -3}[harm]] ^= 1
        path.write_bytes(data)
    with pytest.raises(LostHashes, match=r"0\.near"):
        OpenFile(files, file).column(2)


@pytest.mark.parametrize("n", [0, 5, 4096, 20_000])
def test_a_checksum_tells_what_is_changed_empty_or_elsewhere(n: int) -> None:
    hashes = np.random.default_rng(n).integers(0, 2**64, n, dtype=np.uint64)
    harmed = [] if n == 0 else [hashes + np.uint64(1), hashes[:-1], np.append(hashes, hashes[:1])]
    for begin, other in ((0, 1), (3, n - 1), (0, 4096), (4096, 8192), (4000, 8096)):
        for length in (1, 512, 4096):
            if max(begin, other) + length > n or other - begin < length:
                continue
            one = hashes.copy()
            one[begin : begin + length] = 0
            elsewhere = hashes.copy()
            elsewhere[begin : begin + length] = hashes[other : other + length]
            swapped = elsewhere.copy()
            swapped[other : other + length] = hashes[begin : begin + length]
            flipped = hashes.copy()
            flipped[[begin, other]] ^= np.uint64(1 << 63)
            harmed += [one, elsewhere, swapped, flipped]
    assert len(harmed) > (40 if n > 9000 else 4 if n else -1)
    assert checksum(hashes) not in [checksum(one) for one in harmed]


def test_a_hash_takes_its_eight_bytes_and_a_thing_next_to_nothing(tmp_path: Path) -> None:
    filed = Filed(np.full(100_000, 3), np.zeros((2, 300_000), np.uint64), np.full(50_000, 2))
    file = write_filed(Files(str(tmp_path)), "a.near", filed, 0)
    assert file.n_bytes - 8 * 600_000 < 1000

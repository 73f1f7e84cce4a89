"""Cells of sorted hashes are read one by one, and what is damaged is named."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.balance.bands import ENTRY, sorted_entries
from pipeline.balance.near_files import N_CELLS, LostHashes, cells_of, read_cells, read_run, write_cells
from pipeline.engine.files import Files


def test_cells_come_back_by_band_from_one_file_and_from_several(tmp_path: Path) -> None:
    rng, files = np.random.default_rng(1), Files(str(tmp_path))
    bands = [sorted_entries(rng.integers(0, 2**64, n, dtype=np.uint64), np.arange(n)) for n in (5_000, 0, 7)]
    cells = cells_of(bands)
    whole = write_cells(files, "whole.near", cells)
    parts = [write_cells(files, f"{i}.near", cells[i : i + 128], i) for i in range(0, N_CELLS, 128)]
    for run, some in (([whole], range(N_CELLS)), (parts, range(N_CELLS)), (parts, range(100, 300))):
        read = read_run(files, run, some)
        for band, entries in enumerate(bands):
            wanted = entries[np.isin(entries["key"] >> np.uint64(55), list(some))]
            assert np.array_equal(np.concatenate([of_cell[band] for of_cell in read]), wanted)


@pytest.mark.parametrize("harm", ["gone", "short", "empty", "head", "body"])
def test_a_file_that_is_gone_or_damaged_is_lost(tmp_path: Path, harm: str) -> None:
    files = Files(str(tmp_path))
    file = write_cells(files, "a.near", cells_of([sorted_entries(np.arange(9, dtype=np.uint64) << 60, np.arange(9))]))
    path, data = tmp_path / "a.near", bytearray((tmp_path / "a.near").read_bytes())
    if harm == "gone":
        path.unlink()
    if harm in ("short", "empty"):
        path.write_bytes(data[:-5] if harm == "short" else b"")
    if harm in ("head", "body"):
        data[3 if harm == "head" else -3] ^= 1
        path.write_bytes(data)
    with pytest.raises(LostHashes, match=r"a\.near"):
        read_cells(files, file, range(N_CELLS))


def test_an_entry_takes_fewer_bytes_in_a_file_than_in_memory(tmp_path: Path) -> None:
    rng, files, n = np.random.default_rng(1), Files(str(tmp_path)), 500_000
    bands = [sorted_entries(rng.integers(0, 2**64, n, dtype=np.uint64), rng.integers(0, 10**8, n)) for _ in range(2)]
    file = write_cells(files, "a.near", cells_of(bands))
    assert file.n_bytes < 2 * n * ENTRY.itemsize * 0.85
    read = read_cells(files, file, range(N_CELLS))
    for band, entries in enumerate(bands):
        assert np.array_equal(np.concatenate([of_cell[band] for of_cell in read]), entries)


@pytest.mark.parametrize("owners", [[0], [0, 2**32 - 1], [2**32 - 1] * 3])
def test_the_least_and_the_greatest_entry_come_back(tmp_path: Path, owners: list[int]) -> None:
    files, keys = Files(str(tmp_path)), np.array([0, 2**64 - 1, 2**63][: len(owners)], np.uint64)
    entries = sorted_entries(keys, np.array(owners))
    file = write_cells(files, "a.near", cells_of([entries]))
    assert np.array_equal(np.concatenate([cell[0] for cell in read_cells(files, file, range(N_CELLS))]), entries)

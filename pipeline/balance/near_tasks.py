"""The tasks of workers on the files of a hash index (alike.py): searching or merging some of the cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.balance.bands import HALF, Asked, Entries, Int64, merged_entries, near_pairs
from pipeline.balance.near_files import CELL_BITS, N_CELLS, NearFile, read_run, write_cells
from pipeline.engine.files import Files

TASK_BYTES = 64 * 1024**2
"""Approximate bytes of sorted hashes that one task reads."""

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Applies a function to each item, on other machines if there are any; returns the results in order."""


def spread_here(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
    """Applies the function in this process, to one item after the other."""
    return map(work, items)


def spans_of(n_bytes: int) -> list[range]:
    """Divides all cells into spans with about TASK_BYTES each of files of `n_bytes`."""
    n_spans = min(N_CELLS, 1 << max(0, (n_bytes - 1) // TASK_BYTES).bit_length())
    size = N_CELLS // n_spans
    return [range(begin, begin + size) for begin in range(0, N_CELLS, size)]


def groups_in(cells: range) -> tuple[int, int]:
    """The first group of hashes in these cells, and the one after their last."""
    return cells.start << (HALF - CELL_BITS), cells.stop << (HALF - CELL_BITS)


class PatientFiles:
    """Files whose copy on another machine waits for an unresponsive store as long as the driver does."""

    def __init__(self, files: Files) -> None:
        self._files, self._patience_s = files, files.patience_s

    def there(self) -> Files:
        """The files, for use on the worker's machine."""
        return replace(self._files, patience_s=self._patience_s)


def search_cells(
    files: PatientFiles, runs: Sequence[Sequence[NearFile]], max_distance: int, item: tuple[range, Sequence[Asked]]
) -> Int64:
    """The pairs, as codes, of entries near those asked for, in some cells of all runs."""
    cells, asked = item
    by_run = [read_run(files.there(), run, cells) for run in runs]
    found = [np.zeros(0, np.int64)]
    for band, of_band in enumerate(asked):
        entries = [_joined([bands[band] for bands in of_run]) for of_run in by_run]
        found.append(near_pairs(entries, of_band, max_distance))
    return np.unique(np.concatenate(found))


def _joined(some: Sequence[Entries]) -> Entries:
    return some[0] if len(some) == 1 else np.concatenate(some)  # no copy: a large index has a task for each cell


def merge_cells(files: PatientFiles, runs: Sequence[Sequence[NearFile]], path: str, cells: range) -> NearFile:
    """Merges some cells of several runs into a file of one run."""
    by_run = [read_run(files.there(), run, cells) for run in runs]
    merged = [
        [merged_entries(of_band) for of_band in zip(*of_cell, strict=True)] for of_cell in zip(*by_run, strict=True)
    ]
    return write_cells(files.there(), f"{path}.{cells.start}.near", merged, cells.start)

"""What workers do to the files of an index of hashes (alike.py): look through some columns of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.balance.bands import HashQuery, Int64, Search
from pipeline.balance.near_files import NearFile, columns_of
from pipeline.engine.files import Files

TASK_BYTES = 64 * 1024**2
"""Below so many bytes of files the driver looks through them itself; above, a task may read more than this: a column
is looked through by one."""

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Does a piece of work on each of some items, on other machines where there are any; gives what it makes, in order."""


def spread_here(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
    """In this process, one after the other."""
    return map(work, items)


def tasks_of(n_columns: int, n_bytes: int) -> list[range]:
    """All columns, in as many tasks as leave each about TASK_BYTES of files of `n_bytes`, or a column."""
    n_tasks = max(1, min(n_columns, -(-n_bytes // TASK_BYTES)))
    edges = [round(i * n_columns / n_tasks) for i in range(n_tasks + 1)]
    return [range(begin, end) for begin, end in pairwise(edges)]


class PatientFiles:
    """Files whose copy on another machine waits for a store that does not answer as long as the driver does."""

    def __init__(self, files: Files) -> None:
        self._files, self._patience_s = files, files.patience_s

    def there(self) -> Files:
        """The files, where they are used."""
        return replace(self._files, patience_s=self._patience_s)


def search_columns(
    files: PatientFiles, some: Sequence[NearFile], max_distance: int, item: Sequence[tuple[int, HashQuery]]
) -> Int64:
    """The pairs, as codes, of hashes that are near those asked for, each in its column of all these files."""
    found = [np.zeros(0, np.int64)]
    for column, asked in item:
        search = Search(asked, max_distance)
        for hashes, owners in columns_of(files.there(), some, column):
            search.look(hashes, owners)
        found.append(search.found())
    return np.unique(np.concatenate(found))

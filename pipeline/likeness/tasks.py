"""What workers do to the files of an index of hashes (index.py): look through pieces of their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.engine.store.files import Files
from pipeline.likeness.bands import HashQuery, Int64
from pipeline.likeness.files import NearFile, columns_of
from pipeline.likeness.search import InBand, Search, joined
from pipeline.likeness.together import Nearness

TASK_BYTES = 64 * 1024**2
"""Below so many bytes of files the driver looks through them itself; above, a task may read more than this."""
PIECE_BYTES = 768 * 1024**2
"""A column of which more is filed is looked through in pieces: some seconds each, and again what it takes to sort what
is asked for."""

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Does a piece of work on each of some items, on other machines where there are any; gives what it makes, in order."""


def spread_here(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
    """In this process, one after the other."""
    return map(work, items)


@dataclass(frozen=True, slots=True)
class Piece:
    """A column of some of the files: those from `begin` to before `end`."""

    column: int
    begin: int
    end: int


def tasks_of(column_bytes: Sequence[int], n_asked: Sequence[int]) -> list[list[Piece]]:
    """All columns of all files, in their order, as tasks of some pieces each. `column_bytes`: of a column, by file;
    `n_asked`: how much is looked for, by column.
    """
    n_bytes, n_columns = sum(column_bytes), len(n_asked)
    if n_bytes <= PIECE_BYTES:
        n_tasks = max(1, min(n_columns, -(-n_columns * n_bytes // TASK_BYTES)))
        edges = [round(i * n_columns / n_tasks) for i in range(n_tasks + 1)]
        return [[Piece(column, 0, len(column_bytes)) for column in range(*edge)] for edge in pairwise(edges)]
    return [[piece] for column in range(n_columns) for piece in _pieces(column, column_bytes, n_asked)]


def _pieces(column: int, column_bytes: Sequence[int], n_asked: Sequence[int]) -> list[Piece]:
    """A column in pieces of about the same size, in more of them where more is looked for."""
    ends = np.cumsum(column_bytes)
    n_pieces = int(-(-int(ends[-1]) * _cost(n_asked[column] / max(1, min(n_asked))) // PIECE_BYTES))
    edges = np.searchsorted(ends, ends[-1] * np.arange(1, n_pieces) / n_pieces) + 1
    edges = np.unique(np.concatenate([[0], edges, [len(ends)]]))
    return [Piece(column, begin, end) for begin, end in pairwise(edges.tolist())]


def _cost(n_times: float) -> float:
    """What looking through a column costs where so many times as much is looked for (bench/alike_growth.py)."""
    return (4 + n_times) / 5


class PatientFiles:
    """Files whose copy on another machine waits for a store that does not answer as long as the driver does."""

    def __init__(self, files: Files) -> None:
        self._files, self._patience_s = files, files.patience_s

    def there(self) -> Files:
        """The files, where they are used."""
        return replace(self._files, patience_s=self._patience_s)


def search_pieces(
    files: PatientFiles,
    some: Sequence[NearFile],
    asked: Sequence[HashQuery],
    nearness: Nearness,
    pieces: Sequence[Piece],
) -> list[tuple[int, list[InBand]]]:
    """(column, matches) per piece."""
    found = []
    for piece in pieces:
        search = Search(asked[piece.column], nearness)
        for hashes, owners in columns_of(files.there(), some[piece.begin : piece.end], piece.column):
            search.scan(hashes, owners)
        found.append((piece.column, search.piece()))
    return found


def search_all(spread: Spread, work: Callable[[Any], Any], tasks: Sequence[Sequence[Piece]]) -> Int64:
    """(index owner << 32 | query owner) of matches in any column, given `search_pieces` as work."""
    codes, column, pieces = [np.zeros(0, np.int64)], 0, list[list[InBand]]()
    for found in spread(work, tasks):
        for of_column, piece in found:
            if of_column != column:
                codes.append(joined(pieces))
                column, pieces = of_column, []
            pieces.append(piece)
    return np.unique(np.concatenate([*codes, joined(pieces)]))

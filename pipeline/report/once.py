"""Reads the row of a table that counts for each clip or video, piece by piece and file by file.

The outcome of a retry is in a later part, so of several rows the last counts. Files are read in any order; where
rows turn out to repeat, which is rare, the table is read again, and those rows are held against each other by the names
of their parts.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.membership import NOWHERE
from pipeline.engine.store.follow import PART, Follower
from pipeline.engine.store.store import Store
from pipeline.report.places import Ints

Marks = NDArray[np.bool_]


class Taker(Protocol):
    """What the rows are for."""

    def take(self, rows: pa.Table, places: Ints) -> None:
        """Takes up rows, at most one for each place [N]."""


T = TypeVar("T", bound=Taker)


def take_once(
    store: Store,
    table: str,
    columns: Sequence[str],
    place_of: Callable[[pa.Table], Ints],
    n_places: int,
    begin: Callable[[], T],
) -> tuple[T, Marks]:
    """Reduces one row per clip with the reducer from `begin()`; returns it, and whether each place [P] had a row.

    `place_of`: the place of each row, NOWHERE for rows that nobody asked for. `begin` is called again where rows
    repeat.
    """
    repeated = np.zeros(n_places, np.bool_)
    while True:
        taker, seen = begin(), np.zeros(n_places, np.bool_)
        again, several = repeated.copy(), list[pa.Table]()
        for rows in Follower(store, table, columns, named=bool(repeated.any())).new():
            places = place_of(rows)
            rows, places = _only(rows, places, places != NOWHERE)
            if PART in rows.column_names:
                is_one_of_several = repeated[places]
                several.append(_with_places(*_only(rows, places, is_one_of_several)))
                rows, places = _only(rows, places, ~is_one_of_several)
            again[places[seen[places]]] = True
            again[_found_twice(places)] = True
            seen[places] = True
            taker.take(rows, places)
        if again.sum() == repeated.sum():
            break
        repeated = again
    if several:
        rows = _that_count(several)
        places = rows.column("place").to_numpy()
        seen[places] = True
        taker.take(rows, places)
    return taker, seen


def _only(rows: pa.Table, places: Ints, wanted: Marks) -> tuple[pa.Table, Ints]:
    return (rows, places) if wanted.all() else (rows.filter(pa.array(wanted)), places[wanted])


def _found_twice(places: Ints) -> Ints:
    ordered = np.sort(places)
    return np.asarray(ordered[1:][ordered[1:] == ordered[:-1]])


def _with_places(rows: pa.Table, places: Ints) -> pa.Table:
    return rows.append_column("place", pa.array(places)).append_column("row", pa.array(np.arange(len(places))))


def _that_count(several: Sequence[pa.Table]) -> pa.Table:
    """The last row of each place: by part, then by their order in it."""
    rows = pa.concat_tables(several).combine_chunks()
    keys = [("place", "ascending"), (PART, "ascending"), ("row", "ascending")]
    order = pc.sort_indices(rows, sort_keys=keys)
    places = rows.column("place").to_numpy()[order]
    differs = places[1:] != places[:-1]
    return rows.take(order.filter(pa.array(np.append(differs, True))))

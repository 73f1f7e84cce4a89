"""Reads many parts of a table: those that lie in one file together, and several files side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.parallel import ahead, side_by_side
from manifests.schema import completed
from pipeline.engine.store.ranges import FETCH_BYTES, SegmentRows
from pipeline.engine.store.unit_parts import Part

if TYPE_CHECKING:
    from pipeline.engine.store.store import Store

LOOSE_AT_A_TIME = 200
"""Parts that are files of their own, read before their rows are handed on."""
MOST_ROWS, MOST_BETWEEN = 1 << 16, 1 << 14
"""Rows handed on together (those of a part always are), and rows of other parts that are read with them: a file gives
whole row groups of so many, and each read of one keeps all of it in memory.
"""

Owners = NDArray[np.int64]
"""[N] the index of each row's part."""


def read_many(store: Store, parts: Sequence[Part], schema: pa.Schema) -> Iterator[tuple[Owners, pa.Table]]:
    """Yields the rows of parts with the columns of a schema, and the part of each row; a part's rows come together.

    Files come in no particular order. Parts that a merge has moved since are looked for.
    """
    loose = [i for i, part in enumerate(parts) if part.n_rows < 0]
    read = partial(_read_part, store, parts, schema)
    for some in (loose[i : i + LOOSE_AT_A_TIME] for i in range(0, len(loose), LOOSE_AT_A_TIME)):
        yield from side_by_side(read, some)
    of_files: dict[str, list[int]] = {}
    for i in sorted((i for i, part in enumerate(parts) if part.n_rows > 0), key=lambda i: parts[i].first):
        of_files.setdefault(parts[i].path, []).append(i)
    runs = [_runs(parts, of_file) for of_file in of_files.values()]
    work = partial(_opened, store, parts, schema.names)
    for of_file, opened in ahead(work, runs, partial(_most_bytes, store, parts)):
        for run in of_file:
            yield from _read_run(store, parts, run, schema, opened)


def _runs(parts: Sequence[Part], of_file: Sequence[int]) -> list[list[int]]:
    """Groups parts of one file whose rows are near each other, up to MOST_ROWS rows."""
    runs: list[list[int]] = []
    for i in of_file:
        between = parts[i].first - _end_of(parts[runs[-1][-1]]) if runs else 0
        if not runs or between > MOST_BETWEEN or parts[i].first - parts[runs[-1][0]].first >= MOST_ROWS:
            runs.append([])
        runs[-1].append(i)
    return runs


def _end_of(part: Part) -> int:
    return part.first + part.n_rows


def _part_of(parts: Sequence[Part], run: Sequence[int]) -> Part:
    first = parts[run[0]]
    return Part(first.stage, "", first.path, first.first, _end_of(parts[run[-1]]) - first.first)


def _most_bytes(store: Store, parts: Sequence[Part], runs: list[list[int]]) -> int:
    return min(store.segments.sizes.get(parts[runs[0][0]].path, FETCH_BYTES), FETCH_BYTES)


def _opened(store: Store, parts: Sequence[Part], columns: list[str], runs: list[list[int]]) -> SegmentRows | None:
    """A file with what its parts need fetched; None if it is not there any more."""
    whole = [_part_of(parts, run) for run in runs]
    try:
        return store.opened(whole[0], [(part.first, part.n_rows) for part in whole], columns)[0]
    except FileNotFoundError:
        return None


def _read_run(
    store: Store, parts: Sequence[Part], run: Sequence[int], schema: pa.Schema, opened: SegmentRows | None
) -> Iterator[tuple[Owners, pa.Table]]:
    try:
        if opened is None:
            raise FileNotFoundError(parts[run[0]].path)
        (piece,) = store.pieces(_part_of(parts, run), schema.names, 1 << 62, opened)
        rows = completed(piece.read(schema.names), schema)
    except FileNotFoundError:
        yield from (_read_part(store, parts, schema, i) for i in run)
        return
    counts = [parts[i].n_rows for i in run]
    at = [np.arange(parts[i].first, _end_of(parts[i])) for i in run]
    # copied: a slice would keep its row groups in memory
    yield np.repeat(run, counts).astype(np.int64), rows.take(pa.array(np.concatenate(at) - parts[run[0]].first))


def _read_part(store: Store, parts: Sequence[Part], schema: pa.Schema, i: int) -> tuple[Owners, pa.Table]:
    rows = completed(store.read_part(parts[i], schema.names), schema)
    return np.full(rows.num_rows, i, np.int64), rows

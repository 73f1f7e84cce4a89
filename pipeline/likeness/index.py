"""An index of hashes in files: what a batch holds is looked for among all that came before it, column by column.

    alike/<kind>/<batch>/items.parquet            what is compared of the batch's videos, a row a video
    alike/<kind>/<batch>/near-<column>.parquet    its items, each with an earlier one that has near hashes
    alike/<kind>/<first batch>-<n>/<column>.parquet   the hashes of n batches in one column, a row a video

A unit looks through one column, or some: it reads what earlier batches left of it and adds its own. It leaves a file of
its batch's hashes, and after each eighth batch one of all eight, after each 64th one of all 64: so which files the
index consists of follows from the number of batches alone. Hashes do not compress, so they are stored raw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.errors import DamagedFile
from manifests.files import Files
from manifests.parallel import ahead, side_by_side
from manifests.parquet import damage_named, open_parquet, parquet_bytes
from manifests.rows import MatchRow
from pipeline.engine.store.ranges import RowFile
from pipeline.likeness.bands import ALL_BITS, HALF, LOW, HashQuery, Int64, bits_of
from pipeline.likeness.search import Owners, Search
from pipeline.likeness.together import Nearness
from pipeline.media.phash import Hashes
from pipeline.outdir.remade import ALIKE

FAN_IN, MOST_BATCHES = 8, 64
"""The files of this many batches are written as one; and of how many at most."""
GROUP_BYTES = 128 * 1024
"""Bytes per row group of items: of old videos only groups with one that a new one may be like are read."""
PAGE_BYTES = 64 * 1024**2
"""Bytes in a page of hashes: a column chunk is a page, which is read a fifth faster than many."""
TASK_BYTES = 64 * 1024**2
"""Below so many bytes of hashes one unit looks through all columns; above, a unit through about so many."""

Block = tuple[int, int]
"""A file's first batch, and how many it holds."""
Wanted = Sequence[Sequence[tuple[Int64, Hashes]]]
"""What is looked for in each column, one kind after the other: (whose each hash is, in order; the hashes)."""
Item = tuple[Mapping[str, Any], int]
"""A row of items, and which item of that video it is."""

HASHES = pa.schema(
    [("batch", pa.int32()), ("row", pa.int32()), ("counts", pa.large_binary()), ("hashes", pa.large_binary())]
)
"""By video: its batch, its row among that batch's items, how many hashes each of its items has (u4), and these (u8)."""
NEAR = pa.schema([(name, pa.int32()) for name in ("batch", "row", "item", "query_row", "query_item")])


@dataclass(frozen=True, slots=True)
class Filed:
    """Index rows: the number of rows of each item, and the hashes of all rows by column, [columns, rows].

    `n_parts`: per video, its number of consecutive items.
    """

    counts: Int64
    hashes: Hashes
    n_parts: Int64


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of items. `columns` of table `table` and `of_videos` of table `videos` are what `items` makes items of, a
    row a video, in the order in which they come; `at_a_time` videos in a batch at most.

    `filed`, `asked`: the hashes by which items are found, in `n_columns`, and by which they look for others, with
    numbers of items as owners; `nearness`: which of them are near; `matches`: the rows of `matches` of those pairs,
    earlier and later, that are alike. `first_only`: an item is paired only with the first one that its hashes find; for
    kinds where all that agree are alike.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    of_videos: tuple[str, ...]
    n_columns: int
    nearness: Nearness
    items: Callable[[pa.Table], pa.Table]
    filed: Callable[[pa.Table], Filed]
    asked: Callable[[pa.Table], Wanted]
    matches: Callable[[Sequence[tuple[Item, Item]]], list[MatchRow]]
    at_a_time: int
    first_only: bool = False

    @property
    def stage(self) -> str:
        """The name of the stage that compares them."""
        return f"same_{self.name}"

    def path(self, folder: str, name: str | int) -> str:
        """The path of a file."""
        return f"{ALIKE}/{self.name}/{folder}/{name}.parquet"

    def items_path(self, batch: int) -> str:
        """The path of a batch's items."""
        return self.path(f"{batch:05d}", "items")

    def near_path(self, batch: int, column: int) -> str:
        """The path of what a unit found that looked through this column first."""
        return self.path(f"{batch:05d}", f"near-{column}")

    def column_path(self, block: Block, column: int) -> str:
        """The path of the hashes of some batches in a column."""
        return self.path(f"{block[0]:05d}-{block[1]}", column)


def n_held(n_batches: int) -> int:
    """How many batches the file holds that ends the index after so many."""
    size = 1
    while size < MOST_BATCHES and n_batches % (size * FAN_IN) == 0:
        size *= FAN_IN
    return size


def blocks_of(n_batches: int) -> list[Block]:
    """The files that an index of so many batches consists of, in order."""
    blocks: list[Block] = []
    while n_batches:
        blocks.append((n_batches - n_held(n_batches), n_held(n_batches)))
        n_batches = blocks[-1][0]
    return blocks[::-1]


def tasks_of(n_columns: int, n_hashes: int) -> list[range]:
    """All columns of an index with so many hashes in each, some for each unit."""
    n_tasks = max(1, min(n_columns, -(-n_columns * 8 * n_hashes // TASK_BYTES)))
    edges = [round(i * n_columns / n_tasks) for i in range(n_tasks + 1)]
    return [range(begin, end) for begin, end in pairwise(edges)]


# files


def write_items(items: pa.Table, local: Path) -> None:
    """Writes a batch's items."""
    rows = max(1, items.num_rows * GROUP_BYTES // max(1, items.nbytes))
    local.write_bytes(parquet_bytes(items, row_group_size=rows))


def write_plain(table: pa.Table, local: Path) -> None:
    """Writes hashes or numbers."""
    local.write_bytes(parquet_bytes(table, use_dictionary=False, write_statistics=False, data_page_size=PAGE_BYTES))


def read_whole(files: Files, path: str) -> pa.Table:
    """Reads a file of the index. DamagedFile if it is gone or damaged."""
    with _as_index(files, path):
        return open_parquet(files.read(path)).read()


def read_items(files: Files, path: str, wanted: Int64) -> dict[int, dict[str, Any]]:
    """Reads these rows (ascending) of a batch's items. DamagedFile."""
    with _as_index(files, path):
        file = RowFile(files, path)
        runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1)
        found = [row for run in runs for row in file.read(int(run[0]), len(run)).to_pylist()]
    return dict(zip(wanted.tolist(), found, strict=True))


@contextmanager
def _as_index(files: Files, path: str) -> Iterator[None]:
    folder = "/".join(path.split("/")[:2])
    cure = f"all of {folder} can be made again: delete that folder, and run the same command again"
    try:
        with damage_named(f"{files.url}/{path}"):
            yield
    except FileNotFoundError:
        raise DamagedFile(f"{files.url}/{path}: is gone; {cure}") from None
    except DamagedFile as error:
        raise DamagedFile(f"{str(error).partition('; ')[0]}; {cure}") from None


# a search


def column_of(batch: int, filed: Filed, column: int) -> pa.Table:
    """The hashes of a batch in one column, as HASHES."""
    n_hashes = np.add.reduceat(np.append(filed.counts, 0), np.cumsum(filed.n_parts) - filed.n_parts)
    n_hashes = np.where(filed.n_parts > 0, n_hashes, 0)
    rows = np.arange(len(filed.n_parts), dtype=np.int32)
    columns = [np.full(len(rows), batch, np.int32), rows]
    counts, hashes = filed.counts.astype("<u4"), np.ascontiguousarray(filed.hashes[column], "<u8")
    return pa.table([*columns, packed(counts, filed.n_parts), packed(hashes, n_hashes)], schema=HASHES)


def packed(values: np.ndarray[Any, Any], n_each: Int64) -> pa.Array:
    """Values laid end to end as an array of bytes, so many of them in each."""
    ends = values.itemsize * np.append(0, np.cumsum(n_each, dtype=np.int64))
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.large_binary(), len(n_each), buffers)


def unpacked(column: pa.ChunkedArray, of_type: str) -> tuple[np.ndarray[Any, Any], Int64]:
    """(the values of all, how many each has) of such an array."""
    column = column.cast(pa.large_binary())
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1] if len(array) else np.zeros(1)
    values = np.frombuffer(data, np.uint8)[int(ends[0]) : int(ends[-1])] if data else np.zeros(0, np.uint8)
    return values.view(of_type), np.diff(ends).astype(np.int64) // np.dtype(of_type).itemsize


@dataclass(frozen=True, slots=True)
class _Places:
    """Where items are: their number before each video, and each video's batch and row."""

    first: Int64
    batch: np.ndarray[Any, Any]
    row: np.ndarray[Any, Any]

    def of(self, items: Int64) -> list[np.ndarray[Any, Any]]:
        """(batch, row, which item of the video) of each."""
        video = np.searchsorted(self.first, items, side="right") - 1
        return [self.batch[video], self.row[video], items - self.first[video]]


def look_through(
    files: Files, kind: Kind, batch: int, items: pa.Table, before: tuple[int, int], column: int
) -> tuple[pa.Table, pa.Table]:
    """(pairs of near items as NEAR, hashes for the file that ends with this batch) of a batch's items in one column.

    `before`: how many items and hashes earlier batches have. DamagedFile.
    """
    filed = kind.filed(items)
    search = Search(asked_of(kind, items, filed, *before)[column], kind.nearness)
    blocks, size = blocks_of(batch), n_held(batch + 1)

    def read(block: Block) -> pa.Table:
        return read_whole(files, kind.column_path(block, column))

    kept, places, first = [], [], 0
    own = ((batch, 1), column_of(batch, filed, column))
    for (begin, _), table in chain(ahead(read, blocks, partial(_bytes, before, batch)), [own]):
        n_items = scan(search, table, first)
        places.append((first + np.cumsum(n_items) - n_items, *(table.column(n).to_numpy() for n in ("batch", "row"))))
        first += int(n_items.sum())
        if begin > batch - size:
            kept.append(table)
    codes = search.found()
    if kind.first_only:
        codes = codes[np.unique(codes & LOW, return_index=True)[1]]
    where = _Places(*(np.concatenate(some) for some in zip(*places, strict=True)))
    sides = [*where.of(codes >> HALF), *where.of(codes & LOW)[1:]]
    near = pa.table([side.astype(np.int32) for side in sides], schema=NEAR)
    return near, pa.concat_tables(kept)


def scan(search: Search, table: pa.Table, first: int) -> Int64:
    """Looks through hashes, HASHES, of which the first item has this number; [N] how many items each video has."""
    counts, n_items = unpacked(table.column("counts"), "<u4")
    ends = np.cumsum(counts, dtype=np.int64)
    hashes = unpacked(table.column("hashes"), "<u8")[0].astype(np.uint64, copy=False)
    search.scan(hashes, Owners(first, ends, np.append(0, ends)[np.cumsum(n_items)]))
    return n_items


def _bytes(before: tuple[int, int], n_batches: int, block: Block) -> int:
    """About how much of a column a file holds, in memory."""
    return 9 * before[1] * block[1] // max(1, n_batches)


def asked_of(kind: Kind, items: pa.Table, filed: Filed, n_items: int, n_rows: int) -> list[HashQuery]:
    """Builds each column's query; band width follows from the index size, and is all bits if only equal hashes are
    near. `n_items`, `n_rows`: what the index holds so far.
    """
    bits = bits_of(n_rows + np.cumsum(filed.counts) - filed.counts)
    if not kind.nearness.max_distance:
        bits[:] = ALL_BITS
    wholes = np.repeat(np.arange(len(filed.n_parts)), filed.n_parts)
    found = []
    for looks in kind.asked(items):
        owners, hashes = (np.concatenate(side) for side in zip(*looks, strict=True))
        runs = np.concatenate([n * len(filed.n_parts) + wholes[of_look] for n, (of_look, _) in enumerate(looks)])
        found.append(HashQuery(hashes, owners + n_items, bits[owners], runs))
    return found


def near_pairs(files: Files, kind: Kind, batch: int, columns: Sequence[int]) -> list[tuple[Item, Item]]:
    """What the units that began with these columns found for a batch: pairs of an earlier item and a later one, each
    once, in order. DamagedFile.
    """
    near = pa.concat_tables([read_whole(files, kind.near_path(batch, column)) for column in columns])
    pairs = near.group_by(NEAR.names).aggregate([]).select(NEAR.names)
    pairs = pairs.sort_by([(name, "ascending") for name in NEAR.names])
    of_batch, row, item, query_row, query_item = (column.to_numpy() for column in pairs.columns)
    wanted = {(int(b), int(r)) for b, r in zip(of_batch, row, strict=True)} | {(batch, int(r)) for r in query_row}
    by_batch: dict[int, list[int]] = {}
    for one, its_row in sorted(wanted):
        by_batch.setdefault(one, []).append(its_row)

    def read(one: int) -> dict[tuple[int, int], dict[str, Any]]:
        found = read_items(files, kind.items_path(one), np.array(by_batch[one], np.int64))
        return {(one, its_row): values for its_row, values in found.items()}

    rows = {place: values for found in side_by_side(read, by_batch) for place, values in found.items()}
    columns_of_pairs = (column.tolist() for column in (of_batch, row, item, query_row, query_item))
    return [((rows[b, r], i), (rows[batch, q], k)) for b, r, i, q, k in zip(*columns_of_pairs, strict=True)]

"""Merges the files of ids, so that a video is looked up in few of them, and makes them again if one is damaged.

A file is merged with others unless it is FACTOR times as large as they are together: so there are never more than a
handful, and a row is rewritten a handful of times.
"""

import logging
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import DamagedFile
from manifests.parquet import parquet_writer
from manifests.schema import REJECTS, TABLES
from pipeline.engine.store.lookup import HOW, PLACES, ids_bytes, places_of
from pipeline.engine.store.ranges import RowFile
from pipeline.engine.store.segments import IDS, Head, IdsFile, Retired, Segment, change_head, ids_left, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import IDS_NAME, Part

log = logging.getLogger("hdvila")

MOST_FILES = 4
AT_ONCE = 32
"""Files merged into one at a time, of each of which a row group is in memory."""
FACTOR = 4


def plan_ids(head: Head) -> tuple[IdsFile, ...]:
    """The files to merge into one; () if there are few enough."""
    if len(head.ids) <= MOST_FILES:
        return ()
    files = sorted(head.ids, key=lambda file: file.bytes)
    n = 2
    while n < min(AT_ONCE, len(files)) and files[n].bytes < FACTOR * sum(file.bytes for file in files[:n]):
        n += 1
    return tuple(files[:n])


def lost_ids(store: Store, head: Head) -> tuple[IdsFile, ...]:
    """All files, if one of them is gone: they are to be made again. () else."""
    return head.ids if any(not store.exists(file.path) for file in head.ids) else ()


def write_ids(store: Store, files: Sequence[IdsFile]) -> tuple[tuple[IdsFile, ...], tuple[IdsFile, ...]]:
    """Writes what takes the place of some files, once `install_ids` has put it into the head: (those, what).

    If one of them is damaged or gone, that is a file of each segment anew, in place of all files.
    """
    head, _ = read_head(store)
    try:
        return tuple(files), (_write_merged(store, files, {segment.id for segment in head.segments}),)
    except (DamagedFile, FileNotFoundError) as error:
        log.warning("%s; the ids of all segments are read from their rows again", error)
        return head.ids, tuple(made for segment in head.segments if (made := _write_again(store, segment)))


def install_ids(store: Store, replaced: Sequence[IdsFile], made: Sequence[IdsFile]) -> bool:
    """Puts new files into the head in place of those they were made from; False if these are gone."""

    def change(head: Head) -> Head:
        if not set(replaced) <= set(head.ids):
            return head
        gone = tuple(Retired(id=file.id, stage=IDS, at=time.time()) for file in replaced if file.stage == IDS)
        left = head.model_copy(update={"ids": (*(file for file in head.ids if file not in replaced), *made)})
        return left.model_copy(update={"ids": ids_left(left, head.segments), "retired": (*head.retired, *gone)})

    return set(made) <= set(change_head(store, change).ids)


def _write_merged(store: Store, files: Sequence[IdsFile], live: set[str]) -> IdsFile:
    made = IdsFile(id=uuid.uuid4().hex[:16], bytes=0)
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch) / IDS_NAME
        with parquet_writer(local, PLACES, **HOW) as writer:
            for rows in merged(store, files, live):
                writer.write_table(rows)
        size = local.stat().st_size
        store.put(local, made.path)
    return made.model_copy(update={"bytes": size})


def merged(store: Store, files: Sequence[IdsFile], live: set[str]) -> Iterator[pa.Table]:
    """Yields the rows of files that are of live segments, in the order of their hashes, some row groups at a time."""
    segments = pa.array(sorted(live), pa.string())
    readers = [_groups(RowFile(store, file.path, file.bytes)) for file in files]
    held = [next(reader, None) for reader in readers]
    while left := [piece for piece in held if piece is not None]:
        bound = min(piece.column("hash")[-1].as_py() for piece in left)
        taken = []
        for i, piece in enumerate(held):
            if piece is not None:
                cut = int(np.searchsorted(piece.column("hash").to_numpy(), np.uint64(bound), side="right"))
                taken.append(piece.slice(0, cut))
                held[i] = piece.slice(cut) if cut < piece.num_rows else next(readers[i], None)
        rows = pa.concat_tables(taken)
        rows = rows.filter(pc.is_in(rows.column("segment"), segments))
        if rows.num_rows:  # an empty table would be written as an empty row group
            yield rows.sort_by("hash")


def _groups(file: RowFile) -> Iterator[pa.Table]:
    for first, n_rows in file.pieces(0, 1 << 62, PLACES.names, max_bytes=1):
        yield file.read(first, n_rows)


def _write_again(store: Store, segment: Segment) -> IdsFile | None:
    """Writes a segment's own file again, from its rows; None if it has none with an id."""
    store.segments.load([segment])
    places = [rows for table, n_rows in segment.rows.items() if n_rows for rows in _places_again(store, segment, table)]
    if not places:
        return None
    data = ids_bytes(pa.concat_tables(places))
    store.write(f"{segment.folder}/{IDS_NAME}", data)
    return IdsFile(id=segment.id, stage=segment.stage, bytes=len(data))


def _places_again(store: Store, segment: Segment, table: str) -> Iterator[pa.Table]:
    schema = REJECTS if table == "rejects" else TABLES[table]
    names = [name for name in ("video_id", "url") if name in schema.names]
    if "video_id" not in names:
        return
    units = store.segments.units(segment)
    first, n_rows = (units.column(f"{what}:{table}").to_numpy() for what in ("first", "n"))
    for piece in store.pieces(Part(segment.stage, "", segment.path(table), 0, segment.rows[table]), names):
        own = n_rows[(first >= piece.first) & (first < piece.first + piece.n_rows)]  # row groups hold whole units
        yield places_of(segment.id, table, piece.read(names), piece.first, own.tolist())

"""Where the rows of a video are: tables of hashes in Parquet, sorted by hash, of which a request reads what it needs.

    segments/<stage>/<id>/ids.parquet    of a segment, written with it
    segments/ids/<id>/ids.parquet        of many, so that an id is looked up in few files (`merge_ids`)
    commits/ids.parquet                  of units that are in no segment yet: a copy of what their commits say

A row of the first two stands for consecutive rows of a segment's table, all of one unit, whose video id has this hash.
Rows of a segment that is gone are ignored. A video is also found by the address that it comes from. Hashes may be equal
by chance: who reads the rows compares ids.
"""

import base64
from collections.abc import Mapping, Sequence, Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.errors import DamagedFile
from manifests.files import Files
from manifests.hashing import UInt64, hash_texts
from manifests.origin import origin_of
from manifests.parallel import side_by_side
from manifests.parquet import damage_named, open_parquet, parquet_bytes
from pipeline.engine.store.commits import FOLDER, Commits, Facts
from pipeline.engine.store.ranges import RowFile
from pipeline.engine.store.segments import Head, Segment, SegmentReader
from pipeline.engine.store.unit_parts import IDS_NAME, Part

LOOSE = f"{FOLDER}/{IDS_NAME}"
GROUP_ROWS = 1 << 16
"""Rows of a row group, some 700 KB: what is read of a large file for one id, after its end."""
PLACES = pa.schema(
    [
        ("hash", pa.uint64()),
        ("segment", pa.string()),
        ("table", pa.string()),
        ("first", pa.int64()),
        ("n_rows", pa.int32()),
    ]
)
_NAME = pa.dictionary(pa.int32(), pa.string())
LOOSE_UNITS = pa.schema([("hash", pa.uint64()), ("stage", _NAME), ("unit", _NAME), ("path", _NAME)])
"""Not sorted: it is read as a whole. `path`: the object that holds the unit's commit."""


HOW = {"use_dictionary": ["segment", "table"], "column_encoding": {"hash": "DELTA_BINARY_PACKED"}}
"""How files of ids are written: sorted hashes take 5 to 6 bytes."""


def hash_of(key: str) -> int:
    """The hash of a video id, or of an address."""
    return int(hash_texts(pa.array([key], pa.string()), 0)[0])


def ids_bytes(rows: pa.Table) -> bytes:
    """PLACES as a file, sorted."""
    table = rows.sort_by([(name, "ascending") for name in PLACES.names])
    return parquet_bytes(table, row_group_size=GROUP_ROWS, **HOW)


# of segments


def places_of(segment: str, table: str, rows: pa.Table, first: int, units: Sequence[int]) -> pa.Table:
    """PLACES of rows of a table that begin at row `first` of its file. `units`: the number of rows of each unit."""
    hashes = _hashes(rows.column("video_id"))
    begins = np.ones(len(hashes), np.bool_)
    begins[1:] = hashes[1:] != hashes[:-1]
    bounds = np.cumsum(np.asarray(units, np.int64))[:-1]
    begins[bounds[bounds < len(hashes)]] = True
    at = np.flatnonzero(begins)
    sizes = np.diff(np.append(at, len(hashes)))
    with_origin, of_origins = _origins(rows)
    n = len(at) + len(with_origin)
    return pa.table(
        {
            "hash": np.concatenate([hashes[at], of_origins]),
            "segment": pa.repeat(pa.scalar(segment), n),
            "table": pa.repeat(pa.scalar(table), n),
            "first": first + np.concatenate([at, with_origin]),
            "n_rows": np.concatenate([sizes, np.ones(len(with_origin), np.int64)]).astype(np.int32),
        },
        schema=PLACES,
    )


def places_with(files: Files, path: str, size: int, wanted: Sequence[int]) -> pa.Table:
    """The PLACES of a file that have one of some hashes: two requests for one, of a small file one for all. `size`: the
    file's bytes.
    """
    file = RowFile(files, path, size)
    pieces = [file.read(*span) for span in file.spans_with("hash", wanted)]
    return _with(pa.concat_tables([PLACES.empty_table(), *pieces]), wanted)


def _with(rows: pa.Table, wanted: Sequence[int]) -> pa.Table:
    return rows.filter(pc.is_in(rows.column("hash"), pa.array(wanted, pa.uint64())))


def rows_with_hash(
    reader: SegmentReader, head: Head, wanted: Sequence[int], tables: Set[str]
) -> list[tuple[Segment, Part]]:
    """The rows that may belong to ids or addresses with these hashes, and the segments that hold them."""
    by_id = {segment.id: segment for segment in head.segments}
    read = side_by_side(lambda file: places_with(reader.files, file.path, file.bytes, wanted), head.ids)
    places = {tuple(place.values()) for rows in read for place in rows.to_pylist()}
    found = []
    for _, name, table, first, n_rows in sorted(places):
        segment = by_id.get(name)
        if segment and table in tables and head.counts(table, segment.stage) and reader.counts(segment, table, first):
            found.append((segment, Part(segment.stage, "", segment.path(table), first, n_rows)))
    return found


# of units that are in no segment


def ids_of_unit(tables: Mapping[str, pa.Table]) -> str:
    """What a unit's commit says of the videos in its rows (`Facts.ids`): the hashes by which they are found."""
    some = [[_hashes(rows.column("video_id")), _origins(rows)[1]] for rows in tables.values() if _has_ids(rows)]
    hashes = np.unique(np.concatenate([np.zeros(0, np.uint64), *(part for pair in some for part in pair)]))
    return base64.b64encode(hashes.astype("<u8").tobytes()).decode()


def may_hold(facts: Facts, wanted: Sequence[int]) -> bool:
    """Whether a unit may have rows with one of some hashes; also if its commit does not say."""
    return "ids" not in facts or bool(np.isin(np.array(wanted, np.uint64), _ids_of(facts)).any())


def write_loose(commits: Commits) -> None:
    """Writes commits/ids.parquet, of what this process knows of the commits without asking again."""
    seen = commits.seen()
    units = [(stage, unit, path) for stage, (_, paths) in seen.items() for unit, path in paths.items()]
    hashes = [_ids_of(commits.facts(path, unit)) for _, unit, path in units]
    owner = pa.array(np.repeat(np.arange(len(units), dtype=np.int32), list(map(len, hashes))))
    names = [pa.array([row[i] for row in units], pa.string()) for i in range(3)]
    columns = [pa.DictionaryArray.from_arrays(owner, column) for column in names]
    table = pa.table([np.concatenate([np.zeros(0, np.uint64), *hashes]), *columns], schema=LOOSE_UNITS)
    known = {stage: str(last) for stage, (last, _) in seen.items()}
    commits.files.write(LOOSE, parquet_bytes(table.replace_schema_metadata(known)))


def read_loose(files: Files, wanted: Sequence[int]) -> tuple[dict[str, int], pa.Table]:
    """By stage: the number of the last group that commits/ids.parquet knows of; and its rows with one of some
    hashes.

    Nothing if it is missing or damaged: it is a copy, and who reads it looks into the groups that it does not know of.
    """
    try:
        with damage_named(LOOSE):
            rows = open_parquet(files.read(LOOSE)).read()
    except (FileNotFoundError, DamagedFile):
        return {}, LOOSE_UNITS.empty_table()
    known = {stage.decode(): int(number) for stage, number in (rows.schema.metadata or {}).items()}
    return known, _with(rows, wanted)


# hashes


def _has_ids(rows: pa.Table) -> bool:
    return "video_id" in rows.schema.names


def _hashes(texts: pa.ChunkedArray) -> UInt64:
    return hash_texts(texts.combine_chunks().cast(pa.string()), 0)


def _ids_of(facts: Facts) -> UInt64:
    return np.frombuffer(base64.b64decode(facts.get("ids", "")), "<u8").astype(np.uint64)


def _origins(rows: pa.Table) -> tuple[NDArray[np.int64], UInt64]:
    """Of the rows with an address that says something else than their video id: the row, and the hash of its origin."""
    if "url" not in rows.schema.names:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    pairs = zip(rows.column("video_id").to_pylist(), map(origin_of, rows.column("url").to_pylist()), strict=True)
    others = [(row, origin) for row, (video_id, origin) in enumerate(pairs) if origin not in ("", video_id)]
    origins = pa.array([origin for _, origin in others], pa.string())
    return np.array([row for row, _ in others], np.int64), hash_texts(origins, 0)

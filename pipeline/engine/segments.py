"""Segments: the rows and commits of many units in a few files, and the one head file that says which of them count.

    segments/head.json                     which segments there are; replaced as a whole, only if it is as it was read
    segments/<stage>/<id>/units.parquet    a row a unit: what its commit held, and where its rows lie in each table
                          <table>.parquet  the rows, unit after unit in the order of their names
                          <table>.wide.parquet  the wide columns of the same rows, so that others are read without them
                          rejects.parquet

A unit of a segment counts unless the head calls it void (it was taken back since). A commit of its own that a unit of a
segment still has is ignored; it and the parts that it names go some time after the merge, so that a reader that
began before ends right.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from manifests.errors import DamagedFile
from pipeline.engine.commits import Facts
from pipeline.engine.files import Files

FOLDER = "segments"
HEAD = f"{FOLDER}/head.json"
UNITS = "units"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Segment(_Entry):
    """One segment, with what its commits come to."""

    id: str
    stage: str
    level: int
    """0: merged from parts; n: from segments of level n - 1."""
    n_units: int
    bytes: int
    rows: dict[str, int]
    """By table; those of `rejects` too."""
    rejects: dict[str, int]
    """By reason."""
    seconds: float
    made_at: float
    void: tuple[str, ...] = ()
    """Units that were taken back since; their rows do not count."""

    @property
    def folder(self) -> str:
        """Where its files lie."""
        return f"{FOLDER}/{self.stage}/{self.id}"

    def path(self, table: str, *, wide: bool = False) -> str:
        """Its file of a table; rejects are a table here."""
        return f"{self.folder}/{table}.wide.parquet" if wide else f"{self.folder}/{table}.parquet"


class Retired(_Entry):
    """A segment that is in others now; its files go some time after `at`, seconds since 1970."""

    id: str
    stage: str
    at: float


class Head(_Entry):
    """What counts. `generation` rises with every change."""

    generation: int = 0
    segments: tuple[Segment, ...] = ()
    retired: tuple[Retired, ...] = ()

    def of(self, stage: str) -> list[Segment]:
        """The segments of a stage."""
        return [segment for segment in self.segments if segment.stage == stage]


def read_head(files: Files) -> tuple[Head, bytes | None]:
    """The head, and its bytes for `write_head`; None where there is none yet. DamagedFile where it cannot be read."""
    try:
        data = files.read(HEAD)
    except FileNotFoundError:
        return Head(), None
    try:
        return Head.model_validate_json(data), data
    except ValidationError as error:
        raise DamagedFile(
            f"{files.url}/{HEAD}: cannot be read ({error.errors()[0]['msg']}); restore the file"
        ) from None


def write_head(files: Files, head: Head, seen: bytes | None) -> bool:
    """Puts a head in the place of the one that was read; False, and nothing is changed, where that is not there."""
    data = head.model_dump_json(indent=1).encode() + b"\n"
    return files.create(HEAD, data) if seen is None else files.replace(HEAD, data, seen=seen)


def change_head(files: Files, change: Callable[[Head], Head]) -> Head:
    """The head with a change of its own applied, also where another one came between."""
    for _ in range(10):
        head, seen = read_head(files)
        changed = change(head)
        if changed == head:
            return head
        changed = changed.model_copy(update={"generation": head.generation + 1})
        if write_head(files, changed, seen):
            return changed
    raise DamagedFile(f"{files.url}/{HEAD}: changes all the time; is another run at work here?")


def without(head: Head, stage: str, void: dict[str, list[str]]) -> Head:
    """The head where units (by segment id) are void; a segment without any other is retired."""
    kept, retired = [], list(head.retired)
    for segment in head.segments:
        more = void.get(segment.id, [])
        if segment.stage != stage or not more:
            kept.append(segment)
            continue
        gone = tuple(sorted({*segment.void, *more}))
        if len(gone) < segment.n_units:
            kept.append(segment.model_copy(update={"void": gone}))
        else:
            retired.append(Retired(id=segment.id, stage=stage, at=time.time()))
    return head.model_copy(update={"segments": tuple(kept), "retired": tuple(retired)})


@dataclass(slots=True)
class SegmentReader:
    """Reads segments. What was read of their units is kept: a segment's units never change."""

    files: Files
    _units: dict[str, pa.Table] = field(default_factory=dict)

    def units(self, segment: Segment) -> pa.Table:
        """A row a unit, without its facts: `unit`, and `first:<table>` and `n:<table>` of each table."""
        if segment.id not in self._units:
            path = segment.path(UNITS)
            with self.files.open(path) as file:
                names = [name for name in pq.ParquetFile(file).schema_arrow.names if name != "facts"]
                file.seek(0)
                self._units[segment.id] = pq.read_table(file, columns=names)
        return self._units[segment.id]

    def live(self, segment: Segment) -> pa.Table:
        """Those of its units that are not void."""
        units = self.units(segment)
        if not segment.void:
            return units
        void = pc.is_in(units.column("unit"), value_set=pa.array(segment.void, pa.string()))
        return units.filter(pc.invert(void))

    def names(self, segments: Iterable[Segment]) -> set[str]:
        """The units of these segments that count."""
        return {name for segment in segments for name in self.live(segment).column("unit").to_pylist()}

    def among(self, segment: Segment, units: Iterable[str]) -> list[str]:
        """Those of the given units that this segment holds and that are not void."""
        live = self.live(segment).column("unit")
        held = live.filter(pc.is_in(live, value_set=pa.array(sorted(units), pa.string())))
        return [str(unit) for unit in held.to_pylist()]

    def places(self, segment: Segment, table: str) -> Iterator[tuple[str, int, int]]:
        """(unit, its first row, rows) in a table of a segment, of the units that count and have rows there."""
        units = self.live(segment)
        if f"n:{table}" not in units.schema.names:
            return
        columns = (units.column(name).to_pylist() for name in ("unit", f"first:{table}", f"n:{table}"))
        yield from ((unit, first, n) for unit, first, n in zip(*columns, strict=True) if n)

    def facts(self, segment: Segment, unit: str | None = None) -> Iterator[tuple[str, Facts]]:
        """(unit, what its commit held) of the units that count, or of one of them."""
        filters = None if unit is None else pc.field("unit") == unit
        with self.files.open(segment.path(UNITS)) as file:
            read = pq.read_table(file, columns=["unit", "facts"], filters=filters)
        void = set(segment.void)
        for name, facts in zip(read.column("unit").to_pylist(), read.column("facts").to_pylist(), strict=True):
            if name not in void:
                yield name, {**json.loads(facts), "segment": segment.id}

    def forget(self, head: Head) -> None:
        """Drops what is kept of segments that are gone."""
        known = {segment.id for segment in head.segments}
        for name in [name for name in self._units if name not in known]:
            del self._units[name]


def read_rows(files: Files, path: str, first: int, n_rows: int, columns: list[str]) -> pa.Table:
    """Rows first … first + n_rows - 1 of a Parquet file: only the row groups and columns that hold them are read."""
    with _opened(files, path) as opened:
        file = pq.ParquetFile(opened, pre_buffer=True)
        groups: list[int] = []
        begin = skipped = 0
        for i in range(file.num_row_groups):
            end = begin + file.metadata.row_group(i).num_rows
            if begin < first + n_rows and end > first:
                skipped = skipped if groups else first - begin
                groups.append(i)
            begin = end
        return file.read_row_groups(groups, columns=columns).slice(skipped, n_rows)


def _opened(files: Files, path: str) -> Any:
    """A file whose reads are one request each: what Parquet asks for is known to the byte."""
    if files.is_local:
        return files.open(path)
    return files.fs.open(files.path(path), "rb", cache_type="none")

"""Segments: the rows and commits of many units in a few files, and the head file that says which of them count.

    segments/head.json                     the list of segments; replaced as a whole, and only if it is as it was read
    segments/<stage>/<id>/units.parquet    a row per unit: what its commit held, and where its rows are in each table
                          <table>.parquet  the rows, unit after unit in the order of their names
                          <table>.wide.parquet  the wide columns of the same rows, so that others are read without them
                          rejects.parquet
                          parts.json       the parts that they were merged from, until these are deleted
                          ids.parquet      where the rows of each video are in these files (`lookup.py`)
    segments/ids/<id>/ids.parquet          the same for many segments

A unit of a segment counts unless the head calls it void (it was taken back since). If a unit of a segment still has a
commit of its own, that is ignored: it is deleted once the head is written, and its parts some time after, so that
readers that began before can finish.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from manifests.columns import table_in_a_file
from manifests.errors import DamagedFile
from manifests.files import Files
from manifests.membership import NOWHERE, Ids
from manifests.parallel import side_by_side
from manifests.parquet import damage_named, open_parquet
from manifests.seals import sealed
from manifests.wrong_value import first_fault
from pipeline.engine.store.commits import Facts
from pipeline.engine.store.unit_parts import FOLDER, IDS_NAME, cure_of

HEAD = f"{FOLDER}/head.json"
MAX_MOVED = 5
"""How often a reader starts over because a merge or a retry removed a file that it was reading."""
IN_MEMORY_BYTES = 1 << 18
"""Segments whose units take more are read into a file without a name: a run of millions of videos has hundreds."""
UNITS = "units"
IDS = "ids"
"""Stands for a stage's name in the path of files with the ids of many segments."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Segment(_Entry):
    """One segment, with totals of its commits."""

    id: str
    stage: str
    level: int
    """0: merged from parts; n: from segments of level n - 1."""
    n_units: int
    bytes: int
    rows: dict[str, int]
    """By table, including `rejects`."""
    rejects: dict[str, int]
    """By reason."""
    seconds: float
    made_at: float
    void: tuple[str, ...] = ()
    """Units that were taken back since; their rows do not count."""
    sizes: dict[str, int] = {}
    """Bytes by file name, as far as known."""

    @property
    def folder(self) -> str:
        """The folder of its files."""
        return f"{FOLDER}/{self.stage}/{self.id}"

    def path(self, table: str, *, wide: bool = False) -> str:
        """The path of its file for a table; rejects count as a table here."""
        return f"{self.folder}/{table}.wide.parquet" if wide else f"{self.folder}/{table}.parquet"


class IdsFile(_Entry):
    """A file that says where the rows of videos are (`lookup`): of a segment, with its stage and id, or of many."""

    id: str
    stage: str = IDS
    bytes: int

    @property
    def path(self) -> str:
        """The path of the file."""
        return f"{FOLDER}/{self.stage}/{self.id}/{IDS_NAME}"


class Retired(_Entry):
    """A segment or ids file that was merged into others, or the parts that a segment was merged from (`MERGED_NAME` in
    its folder lists them): the files are deleted some time after `at`, seconds since 1970.
    """

    id: str
    stage: str
    at: float
    is_parts: bool = False

    @property
    def folder(self) -> str:
        """The folder of its files, or of the list of its parts."""
        return f"{FOLDER}/{self.stage}/{self.id}"


class Head(_Entry):
    """What counts. `generation` increases with every change."""

    generation: int = 0
    segments: tuple[Segment, ...] = ()
    retired: tuple[Retired, ...] = ()
    ids: tuple[IdsFile, ...] = ()
    """Together they have the ids of all segments."""
    covered: dict[str, int] = {}
    """By stage: all units of groups up to this number are in segments, so these groups need not be read."""
    last: dict[str, str] = {}
    """By table that several stages write, each over what its predecessor wrote: the last, whose rows alone count."""

    def counts(self, table: str, stage: str) -> bool:
        """Whether the rows count that a stage wrote in a table."""
        return self.last.get(table, stage) == stage

    def of(self, stage: str) -> list[Segment]:
        """The segments of a stage."""
        return [segment for segment in self.segments if segment.stage == stage]


def read_head(files: Files) -> tuple[Head, bytes | None]:
    """The head, and its bytes for `write_head` (None if there is no head yet). DamagedFile if it cannot be read."""
    try:
        data = files.read_sealed(HEAD)
    except FileNotFoundError:
        return Head(), None
    try:
        return Head.model_validate_json(data), data
    except ValidationError as error:
        raise DamagedFile(
            f"{files.url}/{HEAD}: cannot be read ({first_fault(Head, error)}); restore the file"
        ) from None


def write_head(files: Files, head: Head, seen: bytes | None) -> bool:
    """Replaces the head that was read; False, with nothing changed, if it has been replaced meanwhile."""
    data = sealed(head.model_dump_json(indent=1).encode())
    return files.create(HEAD, data) if seen is None else files.replace(HEAD, data, seen=seen)


def change_head(files: Files, change: Callable[[Head], Head]) -> Head:
    """Applies a change to the head, again if another process changed it in between; returns the new head.

    There is a head from the first change on, if one that says nothing: where segments are without one, it is lost.
    """
    for _ in range(10):
        head, seen = read_head(files)
        changed = change(head)
        if changed == head and seen is not None:
            return head
        changed = changed.model_copy(update={"generation": head.generation + 1})
        if write_head(files, changed, seen):
            return changed
    raise DamagedFile(f"{files.url}/{HEAD}: it keeps changing; is another run working here?")


def without(head: Head, stage: str, void: dict[str, list[str]]) -> Head:
    """The head with these units (by segment id) marked void; a segment left with no other unit is retired."""
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
    return head.model_copy(update={"segments": tuple(kept), "retired": tuple(retired), "ids": ids_left(head, kept)})


def with_segment(head: Head, segment: Segment) -> Head:
    """The head with one more segment, and the file of its ids if it has one."""
    size = segment.sizes.get(IDS_NAME, 0)
    ids = (IdsFile(id=segment.id, stage=segment.stage, bytes=size),) if size else ()
    return head.model_copy(update={"segments": (*head.segments, segment), "ids": (*head.ids, *ids)})


def ids_left(head: Head, kept: Iterable[Segment]) -> tuple[IdsFile, ...]:
    """The files of ids without those of segments that are not kept."""
    known = {segment.id for segment in kept}
    return tuple(file for file in head.ids if file.stage == IDS or file.id in known)


@dataclass(slots=True)
class SegmentReader:
    """Reads segments. Caches what was read of their units, since a segment's units never change."""

    files: Files
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of segments' files, by path, as far as known."""
    _units: dict[str, pa.Table] = field(default_factory=dict)
    _lookups: dict[str, Ids] = field(default_factory=dict)

    def units(self, segment: Segment) -> pa.Table:
        """A row per unit, without its facts: `unit`, and `first:<table>` and `n:<table>` for each table."""
        if segment.id not in self._units:
            with self._opened_units(segment) as file:
                names = [name for name in file.schema_arrow.names if name != "facts"]
                numbers = [pa.field(name, pa.int32()) for name in names if name != "unit"]
                schema = pa.schema([pa.field("unit", pa.string()), *numbers])
                units = file.read(columns=names).select(schema.names).cast(schema)
            self._units[segment.id] = table_in_a_file(units) if units.nbytes > IN_MEMORY_BYTES else units
        return self._units[segment.id]

    @contextmanager
    def _opened_units(self, segment: Segment) -> Iterator[pq.ParquetFile]:
        path = segment.path(UNITS)
        with damage_named(f"{self.files.url}/{path}", cure_of(path)), self.files.open(path) as file:
            yield open_parquet(file)

    def load(self, segments: Iterable[Segment]) -> None:
        """Reads the units of these segments, several at a time."""
        side_by_side(self.units, [segment for segment in segments if segment.id not in self._units])

    def live(self, segment: Segment) -> pa.Table:
        """The rows of its units that are not void."""
        return _without(self.units(segment), segment.void)

    def names(self, segments: Iterable[Segment]) -> set[str]:
        """Names of the units of these segments that are not void."""
        segments = list(segments)
        self.load(segments)
        return {name for segment in segments for name in self.live(segment).column("unit").to_pylist()}

    def among(self, segment: Segment, units: Iterable[str]) -> list[str]:
        """Those of the given units that this segment holds and that are not void. Does not walk its other units."""
        held = self._held(segment, pa.array(sorted(units), pa.string()))
        return [str(unit) for unit in held.column("unit").to_pylist()]

    def _held(self, segment: Segment, units: pa.Array) -> pa.Table:
        """The rows of these units, of those that it holds and that are not void."""
        if segment.id not in self._lookups:
            self._lookups[segment.id] = Ids.of(self.units(segment).column("unit"))
        rows = np.sort(self._lookups[segment.id].rows(units))
        held = self.units(segment).take(pa.array(rows[rows != NOWHERE]))
        return _without(held, segment.void)

    def row_ranges(self, segment: Segment, table: str, only: pa.Array | None = None) -> Iterator[tuple[str, int, int]]:
        """(unit, first row, number of rows) in a table of a segment, for units that count and have rows there.

        `only`: limits the result to these units.
        """
        units = self.live(segment) if only is None else self._held(segment, only)
        if f"n:{table}" not in units.schema.names:
            return
        columns = (units.column(name).to_pylist() for name in ("unit", f"first:{table}", f"n:{table}"))
        yield from ((unit, first, n) for unit, first, n in zip(*columns, strict=True) if n)

    def counts(self, segment: Segment, table: str, row: int) -> bool:
        """Whether the unit of a row has not been taken back."""
        if not segment.void:
            return True
        units = self.units(segment)
        firsts = units.column(f"first:{table}").to_numpy()
        index = int(np.searchsorted(firsts, row, side="right")) - 1
        return units.column("unit")[index].as_py() not in segment.void

    def facts(
        self, segment: Segment, unit: str | None = None, *, but: Callable[[str], bool] = lambda unit: False
    ) -> Iterator[tuple[str, Facts]]:
        """(unit, what its commit held) of the units that count, or of `unit` alone. `but`: units to leave out."""
        with self._opened_units(segment) as file:
            read = file.read(columns=["unit", "facts"])
        if unit is not None:
            read = read.filter(pc.field("unit") == unit)
        void = set(segment.void)
        for name, facts in zip(read.column("unit").to_pylist(), read.column("facts").to_pylist(), strict=True):
            if name not in void and not but(name):
                commit: Facts = json.loads(facts)
                commit["segment"] = segment.id
                yield name, commit

    def follow(self, head: Head) -> None:
        """Forgets segments that are gone, and takes the file sizes of the others from the head."""
        known = {segment.id for segment in head.segments}
        for name in [name for name in self._units if name not in known]:
            del self._units[name]
            self._lookups.pop(name, None)
        self.sizes = {
            f"{segment.folder}/{name}": size for segment in head.segments for name, size in segment.sizes.items()
        }


def _without(units: pa.Table, void: Sequence[str]) -> pa.Table:
    if not void:
        return units
    return units.filter(pc.invert(pc.is_in(units.column("unit"), value_set=pa.array(void, pa.string()))))

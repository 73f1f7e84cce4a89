"""An output directory: its files, its commits, and tables made of what committed units wrote.

<table>/part-<stage>-<unit>-<attempt>.parquet      counts only where a commit names it;
commits/<stage>/group.<number>.<hash>.json         that is written last
"""

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import DamagedFile
from manifests.schema import REJECTS, TABLES, WIDE, completed, table_of
from pipeline.engine import segments
from pipeline.engine.commits import READERS, Commits, Facts, is_group, part_name
from pipeline.engine.files import Files
from pipeline.engine.ids import TABLES_WITH_IDS
from pipeline.engine.ranges import read_rows
from pipeline.engine.segments import Head, SegmentReader, change_head, read_head, rows_of_id, without

Made = TypeVar("Made")

MAX_MOVED = 5
"""How often a reader starts over because a merge or a retry removed a file under it."""


MANY_READ = 2
"""Once this many parts of one file were asked for, it is read whole, and kept for those that follow."""
MAX_KEPT_BYTES = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Part:
    """What one committed unit wrote of a table: a file, or the rows of a segment's file from `first` on."""

    stage: str
    unit: str
    path: str
    first: int = 0
    n_rows: int = -1
    """-1: the whole file."""

    @property
    def table(self) -> str:
        """The table; `rejects/<stage>` for rejects."""
        folder, _, name = self.path.rpartition("/")
        if not self.path.startswith(f"{segments.FOLDER}/"):
            return folder
        table = name.removesuffix(".parquet")
        return f"rejects/{self.stage}" if table == "rejects" else table


@dataclass(frozen=True)
class Store(Files):
    """The files of an output directory, and the tables and commits among them."""

    @cached_property
    def commits(self) -> Commits:
        """The commits that lie as objects of their own."""
        return Commits(self)

    @cached_property
    def segments(self) -> SegmentReader:
        """What was read of the segments."""
        return SegmentReader(self)

    @cached_property
    def _kept(self) -> dict[tuple[str, tuple[str, ...]], int | pa.Table]:
        return {}  # by file and columns: how often a part of it was asked for, or all its rows

    def steadily(self, read: Callable[[Head], Made]) -> Made:
        """What `read` returns for a head that was the same before and after; a missing file makes it start over."""
        for _ in range(MAX_MOVED):
            head, seen = read_head(self)
            try:
                made = read(head)
            except FileNotFoundError:
                continue
            if read_head(self)[1] == seen:
                return made
        return read(read_head(self)[0])

    # commits

    def stages(self) -> list[str]:
        """The stages that have committed units."""
        return sorted({*self.commits.stages(), *(segment.stage for segment in read_head(self)[0].segments)})

    def committed(self, stage: str) -> set[str]:
        """Names of the units of a stage that are done."""
        return self.steadily(lambda head: {*self._own_commits(head, stage), *self.segments.names(head.of(stage))})

    def commit(self, stage: str, unit: str, facts: Facts) -> None:
        """Declares a unit done, or says other facts of one that is. Everything it made is in place before."""
        facts = {name: value for name, value in facts.items() if name != "segment"}
        head = read_head(self)[0]
        before = self._own_commits(head, stage).get(unit, "")
        holding = self._segments_with(head, stage, [unit])
        if holding:
            facts["parts"] = self._parts_anew(stage, unit)
        if "parts" not in facts and not is_group(_name_of(before)):
            self.write_json(f"commits/{stage}/{unit}.json", facts)
        else:
            written = self.commits.write(stage, {unit: facts})
            self.commits.remove(stage, [unit], but=written)
        if holding:
            change_head(self, lambda head: without(head, stage, self._segments_with(head, stage, [unit])))

    def _parts_anew(self, stage: str, unit: str) -> dict[str, str]:
        """What a unit wrote, out of its segment again as parts of its own: {table: path}."""
        folders = [*TABLES, f"rejects/{stage}"]
        found = [part for folder in folders for part in self._committed_parts(folder) if part.stage == stage]
        own = [part for part in found if part.unit == unit]
        token = uuid.uuid4().hex[:12]
        return {part.table: self.write_part(part.table, stage, unit, self.read_part(part), token) for part in own}

    def commit_all(self, stage: str, units: Mapping[str, Facts]) -> None:
        """Declares units done that were not, by one object."""
        if units:
            if stage not in self.commits.floor:
                self._own_commits(read_head(self)[0], stage)
            self.commits.write(stage, units)

    def uncommit(self, stage: str, *units: str) -> None:
        """Takes units' commits back, so that they run again."""
        self._own_commits(read_head(self)[0], stage)
        self.commits.remove(stage, units)
        change_head(self, lambda head: without(head, stage, self._segments_with(head, stage, units)))

    def _segments_with(self, head: Head, stage: str, units: Collection[str]) -> dict[str, list[str]]:
        found = {segment.id: self.segments.among(segment, units) for segment in head.of(stage) if units}
        return {name: held for name, held in found.items() if held}

    def commit_facts(self, stage: str, unit: str) -> Facts:
        """What a commit holds: rows by table, rejects by reason, seconds, files, and the stage's own facts."""
        return self.steadily(lambda head: self._facts(head, stage, unit))

    def _facts(self, head: Head, stage: str, unit: str) -> Facts:
        holding = self._segments_with(head, stage, [unit])
        for segment in head.of(stage):
            if segment.id in holding:
                return next(facts for _, facts in self.segments.facts(segment, unit))
        where = self._own_commits(head, stage)
        if unit not in where:
            raise FileNotFoundError(f"{self.url}/commits/{stage}: no commit of {unit}")
        return self.commits.facts(where[unit], unit)

    def all_commit_facts(self, stage: str) -> list[tuple[str, Facts]]:
        """(unit, what its commit holds) of every unit of a stage that is done, by name."""
        return self.steadily(lambda head: sorted(self._all_facts(head, stage), key=lambda pair: pair[0]))

    def _all_facts(self, head: Head, stage: str) -> Iterator[tuple[str, Facts]]:
        for segment in head.of(stage):
            yield from self.segments.facts(segment)
        for unit, path in self.loose(head, stage).items():
            yield unit, self.commits.facts(path, unit)

    def _own_commits(self, head: Head, stage: str) -> dict[str, str]:
        """{unit: path of its commit} of what lies as objects of its own; what segments cover may be among it."""
        self.commits.floor[stage] = head.covered.get(stage, 0)
        return self.commits.of(stage, head.covered.get(stage, 0))

    def reject_counts(self, stage: str) -> Counter[str]:
        """How many rejects the done units of a stage hold, by reason; also those that were made up for since."""
        return self.steadily(lambda head: self._reject_counts(head, stage))

    def _reject_counts(self, head: Head, stage: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for segment in head.of(stage):
            if not segment.void:
                counts.update(segment.rejects)
                continue
            for _, facts in self.segments.facts(segment):
                counts.update(facts.get("rejects", {}))
        for unit, path in self.loose(head, stage).items():
            counts.update(self.commits.facts(path, unit).get("rejects", {}))
        return counts

    def loose(self, head: Head, stage: str) -> dict[str, str]:
        """{unit: path of its commit} of the units that are in no segment."""
        where = self._own_commits(head, stage)
        covered = [name for names in self._segments_with(head, stage, where.keys()).values() for name in names]
        for name in covered:
            where.pop(name, None)
        return where

    # tables

    def parts(self, table: str) -> list[Part]:
        """The committed parts of a table, sorted by stage and unit."""
        return self._committed_parts(table)

    def parts_of(self, table: str, units: Collection[str]) -> dict[str, Part]:
        """The committed parts of these units, by unit: without an object for each of the others."""
        found = self.steadily(lambda head: self._parts_by(head, table, pa.array(sorted(units), pa.string())))
        return {part.unit: part for part in found}

    def reject_parts(self, stage: str) -> list[Part]:
        """The committed parts of one stage's rejects."""
        return self._committed_parts(f"rejects/{stage}")

    def _committed_parts(self, folder: str) -> list[Part]:
        return self.steadily(lambda head: self._parts_by(head, folder))

    def _parts_by(self, head: Head, folder: str, units: pa.Array | None = None) -> list[Part]:
        self.segments.follow(head)
        table, _, stage = folder.partition("/")
        found = [
            Part(segment.stage, unit, segment.path(table), first, n_rows)
            for segment in head.segments
            if segment.rows.get(table) and stage in ("", segment.stage)
            for unit, first, n_rows in self.segments.row_ranges(segment, table, units)
        ]
        wanted = None if units is None else set(units.to_pylist())
        found += [part for part in self.loose_parts(head, folder) if wanted is None or part.unit in wanted]
        found.sort(key=lambda part: part_name(part.stage, part.unit))
        return found

    def loose_parts(self, head: Head, folder: str) -> list[Part]:
        """The parts of a table, or of a stage's rejects (`rejects/<stage>`), that are in no segment."""
        return self._parts_of(folder, lambda stage: self.loose(head, stage))

    def _parts_of(self, folder: str, units: Callable[[str], Mapping[str, str]]) -> list[Part]:
        """What units (by stage: {unit: path of its commit}) wrote of a table as files of its own."""
        present = set(self.names(folder))
        stages = {name.split("-")[1] for name in present if name.startswith("part-") and name.endswith(".parquet")}
        found = [
            Part(stage, unit, path)
            for stage in stages
            for unit, path in self.commits.parts(units(stage), stage, folder)
        ]
        if any(_name_of(part.path) not in present for part in found):  # committed since they were listed
            present = set(self.names(folder))
        return [part for part in found if _name_of(part.path) in present]

    def read_table(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """All committed rows of a table (manifests.schema.TABLES), in the order of the parts."""
        return self.steadily(lambda head: self._concat(self._parts_by(head, table), TABLES[table], columns))

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]:
        """All committed rows of a table, in the order of the parts: a run of those in one file at a time."""
        for run in runs_of(self.parts(table)):
            try:
                yield self._read_part(next(joined(run)), columns, keep=False)
            except FileNotFoundError:  # a merge has moved them; maybe not all to one place
                for part in run:
                    yield self.read_part(part, columns)

    def count_rows(self, table: str) -> int:
        """How many committed rows a table has; those in segments are counted without being read."""
        return sum(part.n_rows if part.n_rows >= 0 else self.read_part(part, []).num_rows for part in self.parts(table))

    def read_rejects(self) -> pa.Table:
        """All committed rejects of all stages."""
        return self.steadily(lambda head: self._concat(self._rejects_by(head), REJECTS, None))

    def _rejects_by(self, head: Head) -> list[Part]:
        return [part for stage in self.reject_stages(head) for part in self._parts_by(head, f"rejects/{stage}")]

    def reject_stages(self, head: Head | None = None) -> list[str]:
        """The stages that turned something away."""
        head = head or read_head(self)[0]
        merged = {segment.stage for segment in head.segments if segment.rows.get("rejects")}
        return sorted({*self.folders("rejects"), *merged})

    def read_part(self, part: Part, columns: list[str] | None = None) -> pa.Table:
        """The rows of one part, also where a merge has moved it. A column that was added later is missing."""
        for _ in range(MAX_MOVED):
            try:
                return self._read_part(part, columns)
            except FileNotFoundError:
                same = [p for p in self._committed_parts(part.table) if (p.stage, p.unit) == (part.stage, part.unit)]
                part = same[0] if same else part
        return self._read_part(part, columns)

    def _read_part(self, part: Part, columns: list[str] | None, *, keep: bool = True) -> pa.Table:
        try:
            if part.n_rows < 0:
                file = pq.ParquetFile(pa.BufferReader(self.read(part.path)))
                names = set(file.schema_arrow.names)
                return file.read(columns=None if columns is None else [name for name in columns if name in names])
            return self._read_of_segment(part, columns, keep)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0][:300]
            raise DamagedFile(f"{self.url}/{part.path}: is not a Parquet table ({reason}); restore the file") from None

    def _read_of_segment(self, part: Part, columns: list[str] | None, keep: bool) -> pa.Table:
        wide = WIDE.get(part.table, ())
        schema = _schema_of(part.table)
        names = list(schema.names) if columns is None else columns
        if not names:
            return pa.table({"row": pa.nulls(part.n_rows)}).select([])
        made = self._rows(part.path, part, [name for name in names if name not in wide], keep)
        if apart := [name for name in names if name in wide]:
            path = f"{part.path.removesuffix('.parquet')}.wide.parquet"
            read = read_rows(self, path, part.first, part.n_rows, apart, self.segments.sizes.get(path, 0))
            for name in apart:
                made = made.append_column(read.schema.field(name), read.column(name))
        return made.select(names)

    def _rows(self, path: str, part: Part, columns: list[str], keep: bool) -> pa.Table:
        """Narrow columns. A file whose parts are read one after the other is read once, and kept where that is said."""
        key = (path, tuple(columns))
        kept = self._kept.get(key, 0)
        if isinstance(kept, int) and (kept < MANY_READ or not keep):
            self._kept[key] = kept + keep
            return read_rows(self, path, part.first, part.n_rows, columns, self.segments.sizes.get(path, 0))
        if isinstance(kept, int):
            kept = pq.read_table(pa.BufferReader(self.read(path)), columns=columns)
            self._keep(key, kept)
        return kept.slice(part.first, part.n_rows)

    def _keep(self, key: tuple[str, tuple[str, ...]], table: pa.Table) -> None:
        tables = {name: value for name, value in self._kept.items() if not isinstance(value, int)}
        while tables and sum(t.nbytes for t in tables.values()) + table.nbytes > MAX_KEPT_BYTES:
            oldest = next(iter(tables))
            del tables[oldest], self._kept[oldest]
        self._kept[key] = table

    def forget(self) -> None:
        """Drops what is kept of files that were changed where they lie."""
        self._kept.clear()

    def _concat(self, parts: Iterable[Part], schema: pa.Schema, columns: list[str] | None) -> pa.Table:
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        tables = [completed(self._read_part(part, columns), wanted) for part in joined(parts)]
        return pa.concat_tables(tables) if tables else wanted.empty_table()

    def rows_of(self, video_id: str, columns: Mapping[str, Sequence[str]]) -> dict[str, pa.Table]:
        """The rows of one video, by table (`rejects`: those of all stages), in no promised order.

        Of segments only the row groups are read that hold it; parts that are not merged yet are read all.
        """
        return self.steadily(lambda head: self._rows_of(head, video_id, columns))

    def _rows_of(self, head: Head, video_id: str, columns: Mapping[str, Sequence[str]]) -> dict[str, pa.Table]:
        self.segments.follow(head)
        spans = rows_of_id(self.segments, head, video_id, set(columns) & set(TABLES_WITH_IDS))
        parts = [(table, Part(one.stage, "", one.path(table), first, n_rows)) for one, table, first, n_rows in spans]
        parts += self._own_parts(head, columns)
        schemas = {table: _schema_of(table, columns[table]) for table in columns}

        def rows(table: str, part: Part) -> pa.Table:
            found = completed(self._read_part(part, list(columns[table]), keep=False), schemas[table])
            return found.filter(pc.equal(found.column("video_id"), video_id))

        with ThreadPoolExecutor(READERS) as readers:
            read = list(readers.map(lambda pair: rows(*pair), parts))
        made = {table: [schema.empty_table()] for table, schema in schemas.items()}
        for (table, part), found in zip(parts, read, strict=True):
            is_covered = part.n_rows < 0 and found.num_rows and self._segments_with(head, part.stage, [part.unit])
            if not is_covered:
                made[table].append(found)
        return {table: pa.concat_tables(tables) for table, tables in made.items()}

    def _own_parts(self, head: Head, tables: Iterable[str]) -> list[tuple[str, Part]]:
        """(table, part) of all parts that are files of their own; some may be in segments already."""
        own = {stage: self._own_commits(head, stage) for stage in self.commits.stages()}
        if not any(own.values()):
            return []
        folders = [(table, table) for table in tables if table != "rejects"]
        folders += [("rejects", f"rejects/{stage}") for stage in own if "rejects" in tables]
        units = own.get
        return [(table, part) for table, folder in folders for part in self._parts_of(folder, lambda s: units(s, {}))]

    def write_part(
        self, table: str, stage: str, unit: str, rows: Sequence[Mapping[str, Any]] | pa.Table, token: str = ""
    ) -> str:
        """One part of a table; it counts once the unit is committed. Returns its path, for the commit to name."""
        schema = _schema_of(table)
        path = f"{table}/{part_name(stage, unit, token)}"
        self.write_table(path, rows if isinstance(rows, pa.Table) else table_of(rows, schema))
        return path

    def write_rejects(self, stage: str, unit: str, rows: Sequence[Mapping[str, Any]], token: str = "") -> str:
        """The rejects of one unit; returns their path, for the commit to name."""
        return self.write_part(f"rejects/{stage}", stage, unit, rows, token)

    def sweep_parts(self) -> int:
        """Deletes parts of attempts that no commit names; returns how many. Only call while holding the run lock."""
        folders = [*TABLES, *(f"rejects/{stage}" for stage in self.folders("rejects"))]
        where = {stage: self.commits.of(stage) for stage in self.commits.stages()}
        n_swept = 0
        for folder in folders:
            named = (self.commits.parts(units, stage, folder) for stage, units in where.items())
            kept = {_name_of(path) for pairs in named for _, path in pairs}
            for name in _strays(self.names(folder), kept):
                self.delete(f"{folder}/{name}")
                n_swept += 1
        return n_swept


def _schema_of(table: str, columns: Sequence[str] | None = None) -> pa.Schema:
    schema = REJECTS if table.partition("/")[0] == "rejects" else TABLES[table]
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Parts whose rows follow each other in one file as one, so that few pieces are read."""
    for run in runs_of(parts):
        yield replace(run[0], n_rows=sum(part.n_rows for part in run)) if len(run) > 1 else run[0]


def runs_of(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts whose rows follow each other in one file."""
    run: list[Part] = []
    for part in parts:
        last = run[-1] if run else None
        if last and part.n_rows >= 0 and part.path == last.path and part.first == last.first + last.n_rows:
            run.append(part)
            continue
        if run:
            yield run
        run = [part]
    if run:
        yield run


def _strays(names: Collection[str], kept: Collection[str]) -> list[str]:
    return [name for name in names if name.startswith("part-") and name.endswith(".parquet") and name not in kept]


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]

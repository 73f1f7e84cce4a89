"""An output directory: its files, its commits, and the tables made of what committed units wrote.

<table>/part-<stage>-<unit>-<attempt>.parquet      counts only if a commit names it;
commits/<stage>/group.<number>.<hash>.json         written last
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import DamagedFile, UserError
from manifests.parallel import side_by_side
from manifests.parquet import PLAIN, damage_named, open_parquet
from manifests.schema import REJECTS, TABLES, WIDE, completed, table_of
from manifests.stages import STAGES
from pipeline.engine.store.commits import Commits, Facts, number_of, part_name
from pipeline.engine.store.committed import Committed
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.lookup import hash_of, may_hold, read_loose, rows_with_hash
from pipeline.engine.store.ranges import SegmentRows, Spans, read_rows, wide_path
from pipeline.engine.store.segments import MAX_MOVED, Head, Retired, Segment, change_head, read_head, without
from pipeline.engine.store.unit_parts import MERGED_NAME, PART, Part, cure_of, joined, name_of, strays

MANY_READ = 2
"""Once this many parts of one file were requested, the file is read whole and cached."""
MAX_KEPT_BYTES = 256 * 1024**2
PIECE_BYTES = 16 * 1024**2
"""Approximate bytes in memory of what is read piece by piece."""
PLAIN_BYTES = 256 * 1024
"""Parts below this size are written PLAIN: read as they are merged, each cost .4 ms and not 1.1 of a processor."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a segment's file. `read` returns the given columns of them."""

    first: int
    n_rows: int
    read: Callable[[list[str]], pa.Table]


@dataclass(frozen=True)
class Store(Committed):
    """The files of an output directory, together with its tables and commits."""

    @cached_property
    def _kept(self) -> dict[tuple[str, tuple[str, ...]], int | pa.Table]:
        return {}  # by file and columns: how often a part of it was requested, or the whole table

    @cached_property
    def _lost(self) -> dict[str, set[str]]:
        return {}  # by folder that was listed: the parts that commits name and that were not there

    def commit(self, stage: str, unit: str, facts: Facts) -> None:
        """Commits a unit, or replaces the facts of its commit, with the parts that they name. All its output must be in
        place.
        """
        facts = facts.copy()
        facts.pop("segment", None)
        head = read_head(self)[0]
        self._own_commits(head, stage)
        holding = self._segments_with(head, stage, [unit])
        if holding and "parts" not in facts:
            facts["parts"] = self._parts_anew(stage, unit)
        written = self.commits.write(stage, {unit: facts})
        self.commits.remove(stage, [unit], but=written)
        if holding:
            change_head(self, lambda head: without(head, stage, self._segments_with(head, stage, [unit])))

    def _parts_anew(self, stage: str, unit: str) -> dict[str, str]:
        """Writes a unit's rows from its segment into parts of their own again: {table: path}."""
        folders = [*(f"{table}/{stage}" for table in TABLES), f"rejects/{stage}"]
        own = [part for folder in folders for part in self.parts_of(folder, [unit]).values()]
        token = uuid.uuid4().hex[:12]
        return {part.table: self.write_part(part.table, stage, unit, self.read_part(part), token) for part in own}

    # tables

    def parts(self, table: str) -> list[Part]:
        """The committed parts of a table that count, by stage and unit; of `TABLE/STAGE`, all that a stage wrote."""
        return self._committed_parts(table)

    def parts_of(self, table: str, units: Collection[str]) -> dict[str, Part]:
        """The committed parts of these units, by unit, without creating an object for every other unit."""
        parts = self.steadily(lambda head: self._parts_by(head, table, pa.array(sorted(units), pa.string())))
        return {part.unit: part for part in parts}

    def located(self, parts: Collection[Part]) -> dict[tuple[str, str], Part]:
        """{(stage, unit): the part where its rows lie now} for some parts, which a merge may have moved."""
        by_folder: dict[str, list[str]] = {}
        for part in parts:
            folder = part.table if part.table.startswith("rejects") else f"{part.table}/{part.stage}"
            by_folder.setdefault(folder, []).append(part.unit)
        now = [part for folder, units in by_folder.items() for part in self.parts_of(folder, units).values()]
        return {(part.stage, part.unit): part for part in now}

    def reject_parts(self, stage: str) -> list[Part]:
        """The committed parts of a stage's rejects."""
        return self._committed_parts(f"rejects/{stage}")

    def _committed_parts(self, folder: str) -> list[Part]:
        return self.steadily(lambda head: self._parts_by(head, folder))

    def _parts_by(self, head: Head, folder: str, units: pa.Array | None = None) -> list[Part]:
        self.segments.follow(head)
        table, holding = self.segments_of(head, folder)
        self.segments.load(holding)
        parts = [
            Part(segment.stage, unit, segment.path(table), first, n_rows)
            for segment in holding
            for unit, first, n_rows in self.segments.row_ranges(segment, table, units)
        ]
        wanted = None if units is None else set(units.to_pylist())
        parts += [part for part in self.loose_parts(head, folder) if wanted is None or part.unit in wanted]
        parts.sort(key=lambda part: part_name(part.stage, part.unit))
        return parts

    def segments_of(self, head: Head, folder: str) -> tuple[str, list[Segment]]:
        """The table of a folder (as in `parts`), and the segments that hold rows of it."""
        table, stage = _table_and_stage(head, folder)
        return table, [it for it in head.segments if it.rows.get(table) and stage in ("", it.stage)]

    def loose_parts(self, head: Head, folder: str) -> list[Part]:
        """The parts of a table, or of rejects (`rejects`, or one stage's `rejects/<stage>`), that are in no segment."""
        table, only = _table_and_stage(head, folder)
        stages = [only] if only else [stage for stage in self.commit_stages() if _may_write(stage, table)]
        where = dict(zip(stages, side_by_side(partial(self.loose, head), stages), strict=True))
        if table == "rejects":
            return [part for stage in stages for part in self.own_parts({stage: where[stage]}, f"rejects/{stage}")]
        return self.own_parts(where, folder)

    def own_parts(self, units: Mapping[str, Mapping[str, str]], folder: str) -> list[Part]:
        """The parts of a table that are files of their own. `units`: by stage, {unit: path of its commit}.

        Commits name them. The folder, which also holds what was merged within the hour, is listed once, and again after
        a file was missing: a part that was lost is left out.
        """
        folder = folder if folder.startswith("rejects/") else folder.partition("/")[0]
        parts = [
            Part(stage, unit, path)
            for stage, where in units.items()
            for unit, path in self.commits.parts(where, folder)
        ]
        lost = self._lost.get(folder)
        if parts and (lost is None or any(part.path in lost for part in parts)):
            present = set(self.names(folder, PART))
            absent = [part.path for part in parts if name_of(part.path) not in present]
            lost = {path for path in absent if not self.exists(path)}  # a list may be older than what is there
            if lost and self.is_outdated():
                raise FileNotFoundError(f"{self.url}/{folder}: parts were merged and deleted since they were listed")
            self._lost[folder] = lost
        return [part for part in parts if part.path not in lost] if lost else parts

    def read_table(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """All committed rows of a table (manifests.schema.TABLES), in the order of the parts."""
        return self.steadily(lambda head: self._concat(self._parts_by(head, table), TABLES[table], columns))

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]:
        """Yields all committed rows of a table in no particular order, some row groups of a file at a time."""
        return Follower(self, table, columns).new()

    def count_rows(self, table: str) -> int:
        """The number of committed rows of a table; those in segments are counted without being read."""
        return sum(part.n_rows if part.n_rows >= 0 else self.read_part(part, []).num_rows for part in self.parts(table))

    def read_rejects(self, columns: list[str] | None = None) -> pa.Table:
        """All committed rejects of all stages."""
        return self.steadily(lambda head: self._concat(self._rejects_by(head), REJECTS, columns))

    def _rejects_by(self, head: Head) -> list[Part]:
        return [part for stage in self.reject_stages(head) for part in self._parts_by(head, f"rejects/{stage}")]

    def reject_stages(self, head: Head | None = None) -> list[str]:
        """The stages that have rejects, or may have some."""
        head = head or self.head()[0]
        merged = {segment.stage for segment in head.segments if segment.rows.get("rejects")}
        return sorted({*self.commit_stages(), *merged})

    def read_part(self, part: Part, columns: list[str] | None = None) -> pa.Table:
        """The rows of a part, even if a merge has moved it. Columns added to the schema later are missing."""
        for _ in range(MAX_MOVED):
            try:
                return self._read_part(part, columns)
            except FileNotFoundError:
                self.look_again()
                part = self.located([part]).get((part.stage, part.unit), part)
        return self._read_part(part, columns)

    def opened(self, part: Part, spans: Spans = (), columns: Sequence[str] = ()) -> tuple[SegmentRows, bool]:
        """The files of a segment's part, with what these rows (first, number) need of these columns fetched; and
        whether it was: too much is not. FileNotFoundError if a merge has moved the part.
        """
        rows = SegmentRows(self, part.table, part.path, self.segments.sizes)
        return rows, bool(spans) and rows.fetch(spans, columns)

    def pieces(
        self, part: Part, columns: list[str], max_bytes: int = 0, opened: SegmentRows | None = None
    ) -> Iterator[Piece]:
        """Yields the rows of a segment's part, some row groups at a time: about `max_bytes` in these columns, at least
        one group; 0: PIECE_BYTES. `opened`: its files, where they are open.

        FileNotFoundError if a merge has moved the part.
        """
        rows = opened or SegmentRows(self, part.table, part.path, self.segments.sizes)
        pieces = rows.pieces(part.first, part.n_rows, columns, max_bytes or PIECE_BYTES)
        yield from (Piece(first, n_rows, partial(rows.read, first, n_rows)) for first, n_rows in list(pieces))

    def _read_part(self, part: Part, columns: list[str] | None, *, keep: bool = True) -> pa.Table:
        if part.n_rows >= 0:
            return self._read_of_segment(part, columns, keep)
        try:
            return self._read_whole(part.path, columns)
        except FileNotFoundError:
            self._lost.clear()
            raise

    def _read_whole(self, path: str, columns: Sequence[str] | None) -> pa.Table:
        with damage_named(f"{self.url}/{path}", cure_of(path)):
            file = open_parquet(self.read(path))
            names = set(file.schema_arrow.names)
            wanted = None if columns is None else [name for name in columns if name in names]
            return file.read(columns=wanted, use_threads=False)  # threads cost more than a unit's rows

    def _read_of_segment(self, part: Part, columns: list[str] | None, keep: bool) -> pa.Table:
        wide = WIDE.get(part.table, ())
        schema = _schema_of(part.table)
        names = list(schema.names) if columns is None else columns
        if not names:
            return pa.table({"row": pa.nulls(part.n_rows)}).select([])
        made = self._rows(part.path, part, [name for name in names if name not in wide], keep)
        if apart := [name for name in names if name in wide]:
            path = wide_path(part.path)
            read = read_rows(self, path, part.first, part.n_rows, apart, self.segments.sizes.get(path, 0))
            for name in apart:
                made = made.append_column(read.schema.field(name), read.column(name))
        return made.select(names)

    def _rows(self, path: str, part: Part, columns: list[str], keep: bool) -> pa.Table:
        """Reads narrow columns. A file whose parts are read repeatedly is read whole and cached, if `keep`."""
        key = (path, tuple(columns))
        kept = self._kept.get(key, 0)
        if isinstance(kept, int) and (kept < MANY_READ or not keep):
            self._kept[key] = kept + keep
            return read_rows(self, path, part.first, part.n_rows, columns, self.segments.sizes.get(path, 0))
        if isinstance(kept, int):
            kept = self._read_whole(path, columns)
            self._keep(key, kept)
        return kept.slice(part.first, part.n_rows)

    def _keep(self, key: tuple[str, tuple[str, ...]], table: pa.Table) -> None:
        tables = {name: value for name, value in self._kept.items() if not isinstance(value, int)}
        while tables and sum(t.nbytes for t in tables.values()) + table.nbytes > MAX_KEPT_BYTES:
            oldest = next(iter(tables))
            del tables[oldest], self._kept[oldest]
        self._kept[key] = table

    def forget(self) -> None:
        """Drops the cache, after files were changed in place."""
        self._kept.clear()

    def _concat(self, parts: Iterable[Part], schema: pa.Schema, columns: list[str] | None) -> pa.Table:
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        tables = [completed(self._read_part(part, columns), wanted) for part in joined(parts)]
        return pa.concat_tables(tables) if tables else wanted.empty_table()

    def rows_of(self, video_id: str, columns: Mapping[str, Sequence[str]]) -> dict[str, pa.Table]:
        """The rows of a video, by table (`rejects`: those of all stages), in no particular order."""
        near = self.rows_near([video_id], columns)
        return {table: rows.filter(pc.equal(rows.column("video_id"), video_id)) for table, rows in near.items()}

    def rows_near(self, keys: Collection[str], columns: Mapping[str, Sequence[str]]) -> dict[str, pa.Table]:
        """Rows by table, among them all of the videos with one of some ids, and the rows of `videos` of those that come
        from one of these addresses (`origin_of`).

        Reads only the row groups of segments, and of single parts only those, that hold them.
        """
        wanted = sorted(map(hash_of, keys))
        try:
            return self.steadily(lambda head: self._rows_near(head, wanted, columns))
        except FileNotFoundError as error:
            raise DamagedFile(f"{self.url}: {error}: is missing; restore it, or run again to make it") from None

    def _rows_near(
        self, head: Head, wanted: Sequence[int], columns: Mapping[str, Sequence[str]]
    ) -> dict[str, pa.Table]:
        self.segments.follow(head)
        merged = rows_with_hash(self.segments, head, wanted, set(columns))
        parts = [(part.table.partition("/")[0], part) for _, part in merged]
        for table, part in self._loose_with(head, wanted, columns):
            holding = [segment for segment, _ in merged if segment.stage == part.stage]
            if not any(self.segments.among(segment, [part.unit]) for segment in holding):
                parts.append((table, part))
        schemas = {table: _schema_of(table, columns[table]) for table in columns}
        read = side_by_side(lambda pair: self._rows_there(pair[1], schemas[pair[0]]), parts)
        made = {table: [schema.empty_table()] for table, schema in schemas.items()}
        for (table, _), rows in zip(parts, read, strict=True):
            made[table].append(rows)
        return {table: pa.concat_tables(tables) for table, tables in made.items()}

    def _rows_there(self, part: Part, schema: pa.Schema) -> pa.Table:
        try:
            return completed(self._read_part(part, list(schema.names), keep=False), schema)
        except FileNotFoundError:
            if part.n_rows >= 0:  # a merge has moved it
                raise
            return schema.empty_table()

    def _loose_with(self, head: Head, wanted: Sequence[int], tables: Collection[str]) -> Iterator[tuple[str, Part]]:
        """(table, part) of the single parts that may have rows with a hash; some may be in segments already."""
        known, found = read_loose(self, wanted)

        def of_stage(stage: str) -> list[tuple[str, Part]]:
            commits = Commits(self)  # of this process's own, `seen` says that it knows all groups up to the last
            covered = head.covered.get(stage, 0)
            where = commits.of(stage, covered, but=range(covered + 1, known.get(stage, 0) + 1))
            holding = {unit: path for unit, path in where.items() if may_hold(commits.facts(path, unit), wanted)}
            for row in found.filter(pc.equal(found.column("stage"), stage)).to_pylist():
                is_older = row["unit"] in where or number_of(row["path"]) <= covered
                if not is_older and commits.is_there(row["path"]):
                    holding[row["unit"]] = row["path"]
            folders = {it: f"rejects/{stage}" if it == "rejects" else it for it in tables if head.counts(it, stage)}
            named = {table: commits.parts(holding, folder) for table, folder in folders.items()}
            return [(table, Part(stage, unit, path)) for table, parts in named.items() for unit, path in parts]

        yield from (pair for some in side_by_side(of_stage, self.commits.stages()) for pair in some)

    def write_part(
        self, table: str, stage: str, unit: str, rows: Sequence[Mapping[str, Any]] | pa.Table, token: str = ""
    ) -> str:
        """Writes a part of a table; it counts once the unit is committed. Returns its path for the commit."""
        schema = _schema_of(table)
        path = f"{table}/{part_name(stage, unit, token)}"
        table_ = rows if isinstance(rows, pa.Table) else table_of(rows, schema)
        self.write_table(path, table_, **(PLAIN if table_.nbytes < PLAIN_BYTES else {}))
        return path

    def write_rejects(
        self, stage: str, unit: str, rows: Sequence[Mapping[str, Any]] | pa.Table, token: str = ""
    ) -> str:
        """Writes the rejects of a unit; returns their path for the commit."""
        return self.write_part(f"rejects/{stage}", stage, unit, rows, token)

    def sweep_parts(self) -> int:
        """Deletes parts that no commit names, and that are not kept for readers that began before their merge; returns
        how many. Only call while holding the run lock.
        """
        of_segments = [retired for retired in read_head(self)[0].retired if retired.is_parts]
        merged = {path for paths in side_by_side(self.merged_parts, of_segments) for path in paths}
        folders = [*TABLES, *(f"rejects/{stage}" for stage in self.folders("rejects"))]
        where = {stage: self.commits.of(stage) for stage in self.commits.stages()}
        n_swept = 0
        for folder in folders:
            named = (self.commits.parts(units, folder) for units in where.values())
            kept = {name_of(path) for pairs in named for _, path in pairs}
            swept = [f"{folder}/{name}" for name in strays(self.names(folder, PART), kept)]
            swept = [path for path in swept if path not in merged]
            self.delete_all(swept)
            n_swept += len(swept)
        return n_swept

    def merged_parts(self, retired: Retired) -> list[str]:
        """The paths of the parts that a segment was merged from and that are not deleted yet."""
        try:
            paths: list[str] = self.read_json(f"{retired.folder}/{MERGED_NAME}")
        except FileNotFoundError:
            return []
        return paths


def read_table(url: str, table: str, columns: Sequence[str] = ()) -> pa.Table:
    """The committed rows of a table in an output directory; all columns if none are named. UserError if there is no
    such table.
    """
    if table not in TABLES:
        raise UserError(f"{table}: no such table; there are {', '.join(TABLES)}")
    return Store(url).read_table(table, list(columns) or None)


def _table_and_stage(head: Head, folder: str) -> tuple[str, str]:
    """Of the name of a table, which a stage may follow (`clips/clips`): the table, and the stage whose rows are asked
    for, "" for all.
    """
    table, _, stage = folder.partition("/")
    return table, stage or head.last.get(table, "")


def _may_write(stage: str, table: str) -> bool:
    """Whether a stage may write rows of a table: of another package's nothing is known."""
    return table == "rejects" or stage not in STAGES or table in STAGES[stage].makes


def _schema_of(table: str, columns: Sequence[str] | None = None) -> pa.Schema:
    schema = REJECTS if table.partition("/")[0] == "rejects" else TABLES[table]
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])

"""An output directory: its files, its commits, and tables made of what committed units wrote.

<table>/part-<stage>-<unit>-<attempt>.parquet      counts only where a commit names it;
commits/<stage>/group.<number>.<hash>.json         that is written last
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import DamagedFile
from manifests.schema import REJECTS, TABLES, completed, table_of
from pipeline.engine.commits import Commits, Facts, is_group, part_name
from pipeline.engine.files import Files


@dataclass(frozen=True, slots=True)
class Part:
    """What one committed unit wrote of a table."""

    stage: str
    unit: str
    path: str


@dataclass(frozen=True)
class Store(Files):
    """The files of an output directory, and the tables and commits among them."""

    @cached_property
    def _commits(self) -> Commits:
        return Commits(self)

    # commits

    def committed(self, stage: str) -> set[str]:
        """Names of the units of a stage that are done."""
        return set(self._commits.of(stage))

    def commit(self, stage: str, unit: str, facts: Facts) -> None:
        """Declares a unit done, or says other facts of one that is. Everything it made is in place before."""
        before = self._commits.of(stage).get(unit, "")
        if "parts" not in facts and not is_group(_name_of(before)):
            self.write_json(f"commits/{stage}/{unit}.json", facts)
            return
        written = self._commits.write(stage, {unit: facts})
        self._commits.remove(stage, [unit], but=written)

    def commit_all(self, stage: str, units: Mapping[str, Facts]) -> None:
        """Declares units done that were not, by one object."""
        if units:
            self._commits.write(stage, units)

    def uncommit(self, stage: str, *units: str) -> None:
        """Takes units' commits back, so that they run again."""
        self._commits.remove(stage, units)

    def commit_facts(self, stage: str, unit: str) -> Facts:
        """What a commit holds: rows by table, rejects by reason, seconds, files, and the stage's own facts."""
        where = self._commits.of(stage)
        if unit not in where:
            raise FileNotFoundError(f"{self.url}/commits/{stage}: no commit of {unit}")
        return self._commits.facts(where[unit], unit)

    def all_commit_facts(self, stage: str) -> Iterator[tuple[str, Facts]]:
        """(unit, what its commit holds) of every unit of a stage that is done, by name."""
        for unit, path in sorted(self._commits.of(stage).items()):
            yield unit, self._commits.facts(path, unit)

    # tables

    def parts(self, table: str) -> list[Part]:
        """The committed parts of a table, sorted by stage and unit."""
        return list(self._committed_parts(table))

    def reject_parts(self, stage: str) -> list[Part]:
        """The committed parts of one stage's rejects."""
        return list(self._committed_parts(f"rejects/{stage}"))

    def _committed_parts(self, folder: str) -> Iterator[Part]:
        present = set(self.names(folder))
        stages = {name.split("-")[1] for name in present if name.startswith("part-") and name.endswith(".parquet")}
        found = [
            Part(stage, unit, path)
            for stage in stages
            for unit, path in self._commits.parts(self._commits.of(stage), stage, folder)
        ]
        if any(_name_of(part.path) not in present for part in found):  # committed since they were listed
            present = set(self.names(folder))
        found.sort(key=lambda part: part_name(part.stage, part.unit))
        return (part for part in found if _name_of(part.path) in present)

    def read_table(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """All committed rows of a table (manifests.schema.TABLES), in the order of the parts."""
        return self._concat(self.parts(table), TABLES[table], columns)

    def read_rejects(self) -> pa.Table:
        """All committed rejects of all stages."""
        parts = [part for stage in self.folders("rejects") for part in self.reject_parts(stage)]
        return self._concat(parts, REJECTS, None)

    def read_part(self, part: Part, columns: list[str] | None = None) -> pa.Table:
        """The rows of one part. A column that came after the part was written is not among them."""
        data = self.read(part.path)
        try:
            file = pq.ParquetFile(pa.BufferReader(data))
            names = set(file.schema_arrow.names)
            return file.read(columns=None if columns is None else [name for name in columns if name in names])
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0][:300]
            raise DamagedFile(f"{self.url}/{part.path}: is no table ({reason}); restore the file") from None

    def _concat(self, parts: Iterable[Part], schema: pa.Schema, columns: list[str] | None) -> pa.Table:
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        tables = [completed(self.read_part(part, columns), wanted) for part in parts]
        return pa.concat_tables(tables) if tables else wanted.empty_table()

    def write_part(
        self, table: str, stage: str, unit: str, rows: Sequence[Mapping[str, Any]] | pa.Table, token: str = ""
    ) -> str:
        """One part of a table; it counts once the unit is committed. Returns its path, for the commit to name."""
        schema = REJECTS if table.startswith("rejects/") else TABLES[table]
        path = f"{table}/{part_name(stage, unit, token)}"
        self.write_table(path, rows if isinstance(rows, pa.Table) else table_of(rows, schema))
        return path

    def write_rejects(self, stage: str, unit: str, rows: Sequence[Mapping[str, Any]], token: str = "") -> str:
        """The rejects of one unit; returns their path, for the commit to name."""
        return self.write_part(f"rejects/{stage}", stage, unit, rows, token)

    def sweep_parts(self) -> int:
        """Deletes parts of attempts that no commit names; returns how many. Only call while holding the run lock."""
        folders = [*TABLES, *(f"rejects/{stage}" for stage in self.folders("rejects"))]
        n_swept = 0
        for folder in folders:
            kept = {_name_of(part.path) for part in self._committed_parts(folder)}
            for name in _strays(self.names(folder), kept):
                self.delete(f"{folder}/{name}")
                n_swept += 1
        return n_swept


def _strays(names: Collection[str], kept: Collection[str]) -> list[str]:
    return [name for name in names if name.startswith("part-") and name.endswith(".parquet") and name not in kept]


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]

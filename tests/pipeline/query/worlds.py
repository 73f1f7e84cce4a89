"""The tables of a small run, by hand: candidates, clips, what was made of them."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from hdvila_testing.rows import commit_rows
from manifests.parquet import parquet_bytes
from manifests.schema import REJECTS, SELECTION, TABLES
from pipeline.engine.store.store import Store


def fill_row(schema: pa.Schema, **known: Any) -> dict[str, Any]:
    """A row with every column: those given, and empty values for the others."""
    row: dict[str, Any] = {}
    for column in schema:
        if column.name in known:
            row[column.name] = known.pop(column.name)
        elif pa.types.is_list(column.type):
            row[column.name] = []
        elif pa.types.is_string(column.type):
            row[column.name] = ""
        elif pa.types.is_binary(column.type):
            row[column.name] = b""
        else:
            row[column.name] = False if pa.types.is_boolean(column.type) else 0
    assert not known, f"no such columns: {known}"
    return row


class World:
    """An output directory written row by row through the real store."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder))
        self.n = 0

    def add(self, table: str, *rows: dict[str, Any], stage: str = "s") -> None:
        self.n += 1
        commit_rows(self.store, stage, f"u{self.n}", {table: [fill_row(TABLES[table], **row) for row in rows]})

    def reject(self, stage: str, reason: str, video_id: str, *, clip_id: str = "", at: str = "2025-01-01") -> None:
        self.n += 1
        row = fill_row(REJECTS, stage=stage, reason=reason, video_id=video_id, clip_id=clip_id, at=at)
        commit_rows(self.store, stage, f"u{self.n}", {}, [{**row, "class": "later"}])

    def select(self, *rows: dict[str, Any]) -> None:
        table = pa.Table.from_pylist([fill_row(SELECTION, **row) for row in rows], schema=SELECTION)
        self.store.write_table("selection.parquet", table)


def clips(video_id: str, n: int) -> list[dict[str, Any]]:
    return [{"video_id": video_id, "clip_id": f"{video_id}.{k}", "n": k} for k in range(n)]


class InMemory:
    """Tables in memory that come a few rows at a time, as those of a store do. `selection` is among them."""

    def __init__(self, tables: dict[str, pa.Table], size: int) -> None:
        self._tables, self._size = tables, size

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]:
        rows = self._tables.get(table, ({**TABLES, "rejects": REJECTS}[table]).empty_table()).select(columns)
        yield from (rows.slice(first, self._size) for first in range(0, rows.num_rows, self._size))

    def exists(self, relative: str) -> bool:
        return "selection" in self._tables

    def open(self, relative: str) -> IO[bytes]:
        return BytesIO(parquet_bytes(self._tables["selection"]))

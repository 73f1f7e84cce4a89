"""The same tables and views for this program's own questions, without a file: rows stream from the store into DuckDB.

Only the columns that the texts name are read. A view that they need is worked out once, when the tables are opened; a
table that several of them read is read as often. For a single report that takes a third of what filling a file takes.
"""

import os
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import IO, Any, Protocol

import duckdb
import pyarrow as pa

from manifests.errors import UserError
from manifests.funnel import selection_runs
from manifests.hashing import hash_texts
from pipeline.query.catalogue import COLUMNS, ORIGIN, VIEWS, in_order, needs_of, words_of
from pipeline.query.facts import make_facts
from pipeline.query.statements import connected, run

MEMORY = "1GB"
"""What DuckDB keeps in memory; it spills what is beyond."""
THREADS = 4
"""Each thread needs memory of its own, and files are read by one."""
NO_ROOM = "{}: no room to work out what the tables say ({}); free some space, or set TMPDIR to a folder on another disk"
AS_WRITTEN = "SET disabled_optimizers = 'join_order,build_side_probe_side'"
"""DuckDB knows no sizes of streams. What stands to the right of a join is kept in memory, and the left one streams."""


class Readable(Protocol):
    """What is needed of an output directory. A Store has it."""

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]: ...

    def exists(self, relative: str) -> bool: ...

    def open(self, relative: str) -> IO[bytes]: ...


class Streams:
    """Tables of an output directory, some streamed and some worked out. `rows` asks them."""

    def __init__(self, store: Readable, connection: duckdb.DuckDBPyConnection, texts: tuple[str, ...]) -> None:
        self._connection = connection
        views = in_order(texts)
        words: dict[str, set[str]] = {}
        for text in [*texts, *(VIEWS[view] for view in views)]:
            for table in needs_of([text]):
                words.setdefault(table, set()).update(words_of(text))
        self._tables = [_Table(store, table, words[table]) for table in words]
        for each in self._tables:
            connection.register(each.name, each)
        make_facts(connection, {stage for (stage,) in self.rows(_STAGES)} if "rejects" in words else ())
        for view in views:
            self.rows(f"CREATE TEMP TABLE {view} AS {VIEWS[view]}")

    def rows(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a text of SQL gives; it was among those with which the tables were opened."""
        try:
            return run(self._connection, text, *values)
        except duckdb.Error as error:
            for table in self._tables:
                if table.error is not None:
                    raise table.error from None
            if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
                raise UserError(NO_ROOM.format(tempfile.gettempdir(), str(error).splitlines()[0])) from None
            raise


_STAGES = "SELECT DISTINCT stage FROM rejects"


@contextmanager
def stream_tables(store: Readable, *texts: str, seed: int = 0) -> Iterator[Streams]:
    """Opens what these texts of SQL name: of tables only the columns that they name.

    `seed`: of the function `drawn(text)`, by whose order a sample is drawn that depends on nothing else.
    """

    def drawn(texts: pa.ChunkedArray) -> pa.Array:
        return pa.array(hash_texts(texts.combine_chunks(), seed), pa.uint64())

    threads = min(THREADS, len(os.sched_getaffinity(0)))
    with (
        tempfile.TemporaryDirectory(prefix="hdvila-sql-") as spill,
        connected(
            memory_limit=MEMORY, threads=threads, preserve_insertion_order=False, temp_directory=spill
        ) as connection,
    ):
        connection.create_function("drawn", drawn, ["VARCHAR"], "UBIGINT", type="arrow")  # type: ignore[call-overload]
        run(connection, AS_WRITTEN)
        yield Streams(store, connection, texts)


class _Table:
    """A table that DuckDB scans: each scan reads it anew from the store, some row groups at a time."""

    def __init__(self, store: Readable, name: str, words: Set[str]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self._store = store
        columns = [*COLUMNS[name], *(ORIGIN if name != "selection" else ())]
        named = [column for column in columns if column.name in words]
        self._schema = pa.schema(named or [COLUMNS[name].field(0)])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        columns = self._schema.names
        try:
            if self.name == "selection":
                runs = selection_runs(self._store, columns)
            else:
                runs = self._store.read_runs(self.name, columns)
            for rows in runs:
                yield from rows.cast(self._schema).to_batches()
        except GeneratorExit:  # DuckDB needs no more
            raise
        except BaseException as error:
            self.error = error  # DuckDB would only tell its text
            raise

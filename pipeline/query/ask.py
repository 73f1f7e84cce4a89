"""One statement of a person on the tables of an output directory: it only reads, and within limits."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb

from manifests.errors import UserError
from manifests.shards import MANIFEST_NAME
from pipeline.engine.store.store import Store
from pipeline.query.cache import ELSEWHERE, forget_tables, open_tables
from pipeline.query.catalogue import COLUMNS, STAGES, VIEWS

MOST_S = 3600.0
"""The longest that a person waits for an answer, or for more of it."""
ROWS_AT_A_TIME = 10_000

Row = tuple[Any, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """The columns of an answer, and its rows, some at a time."""

    columns: list[str]
    rows: Iterator[Sequence[Row]]


@contextmanager
def ask(store: Store, text: str) -> Iterator[Answer]:
    """The answer to a SELECT. UserError if it is none, is wrong, or needs more time or disk than there is, and if no
    run has written here.
    """
    _refuse_others(text)
    if not store.stages() and not store.exists(MANIFEST_NAME):
        raise UserError(f"{store.url}: no run has written here; give the output directory of one")
    with open_tables(store, text) as tables:
        asking = _Asking(store, tables)
        columns = asking.result(lambda: _columns_of(tables.execute(text)))
        yield Answer(columns, iter(lambda: asking.result(lambda: tables.fetchmany(ROWS_AT_A_TIME)), []))


def _refuse_others(text: str) -> None:
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise UserError(str(error)) from None
    reads = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if len(statements) != 1 or statements[0].type not in reads:
        raise UserError(
            f"sql: {text!r} is not one SELECT (or DESCRIBE, SHOW TABLES, EXPLAIN); nothing else is run here"
        )


def _columns_of(result: duckdb.DuckDBPyConnection) -> list[str]:
    return [column[0] for column in result.description or ()]


class _Asking:
    """Calls of DuckDB in a thread: the main thread hears Ctrl-C, and the clock."""

    def __init__(self, store: Store, tables: duckdb.DuckDBPyConnection) -> None:
        self._store, self._tables = store, tables
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sql")

    def result(self, call: Callable[[], T]) -> T:
        """What a call returns. UserError for an error of SQL."""
        future = self._thread.submit(call)
        try:
            if not wait([future], timeout=MOST_S).done:
                raise UserError(f"sql: stopped after {MOST_S / 3600:g} h; ask for less at a time")
            return future.result()
        except duckdb.Error as error:
            raise UserError(self._said(error)) from None
        finally:
            while not future.done():  # DuckDB forgets an interrupt that comes before its question
                self._tables.interrupt()
                wait([future], timeout=0.1)

    def _said(self, error: duckdb.Error) -> str:
        text = str(error)
        if isinstance(error, duckdb.CatalogException) and text.startswith("Catalog Error: Table"):
            # without DuckDB's own guess, which may be a table of its own
            return f"{text.splitlines()[0]}\nThere are {', '.join([*COLUMNS, STAGES, *VIEWS])}"
        if isinstance(error, duckdb.OutOfMemoryException):
            return f"sql: too much for the memory and disk here ({text.splitlines()[0]}); {ELSEWHERE}"
        if isinstance(error, duckdb.FatalException | duckdb.InternalException) or "orrupt" in text:
            forget_tables(self._store)
            return f"sql: the cache of the tables was damaged and is deleted ({text.splitlines()[0]}); ask again"
        return text

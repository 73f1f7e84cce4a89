"""Runs statements of DuckDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb


@contextmanager
def connected(
    path: str = ":memory:", *, read_only: bool = False, **settings: str | bool | int
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that draws no bar: it would stand between the lines of an answer."""
    with duckdb.connect(path, read_only=read_only, config={**settings}) as connection:
        run(connection, "SET enable_progress_bar = false")
        yield connection


def run(connection: duckdb.DuckDBPyConnection, text: str, *values: object) -> list[tuple[Any, ...]]:
    """Runs a statement to its end and returns all its rows: a connection refuses the next before. KeyboardInterrupt as
    everywhere, where DuckDB has a RuntimeError.
    """
    try:
        return connection.execute(text, list(values)).fetchall()
    except RuntimeError as error:
        if isinstance(error, duckdb.Error) or "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None

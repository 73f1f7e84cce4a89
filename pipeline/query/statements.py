"""Runs statements of DuckDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb


@contextmanager
def connected(
    path: str = ":memory:", *, read_only: bool = False, **settings: str | bool | int
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that fetches no extensions, and draws no bar: it would stand between the lines of an answer."""
    off = dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), False)
    with duckdb.connect(path, read_only=read_only, config={**off, **settings}) as connection:
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


def lock_down(connection: duckdb.DuckDBPyConnection, spill: str, **more: str) -> None:
    """From now on statements reach nothing but what is open, and spill into this folder."""
    settings = {"temp_directory": spill, **more, "python_enable_replacements": False, "enable_external_access": False}
    for name, value in {**settings, "lock_configuration": True}.items():
        run(connection, f"SET {name} = ?", value)

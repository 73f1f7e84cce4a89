"""Runs statements of DuckDB."""

from __future__ import annotations

from typing import Any

import duckdb


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

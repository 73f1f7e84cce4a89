"""Brings the file up to the tables: reads the places that are new, and deletes the rows of those that are gone."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from pipeline.engine.store.segments import MAX_MOVED
from pipeline.engine.store.store import Store
from pipeline.query.catalogue import COLUMNS, NAMED_ONLY, ORIGIN, Needs
from pipeline.query.sources import Source, sources_of
from pipeline.query.statements import run

INSERT_BYTES = 64 * 1024**2
"""Approximate bytes in memory of the rows that are inserted together."""


def make_tables(file: duckdb.DuckDBPyConnection) -> None:
    """Creates the tables in an empty file."""
    run(file, "CREATE SCHEMA held")
    run(file, "CREATE TABLE held.places (tab VARCHAR, name VARCHAR, place INTEGER)")
    run(file, "CREATE TABLE held.wide (tab VARCHAR, name VARCHAR)")
    for table, schema in COLUMNS.items():
        file.register("no_rows", pa.schema([*schema, *ORIGIN, ("place", pa.int32())]).empty_table())
        run(file, f"CREATE TABLE held.{table} AS FROM no_rows")
        file.unregister("no_rows")


def is_up_to_date(file: duckdb.DuckDBPyConnection, store: Store, needs: Needs) -> bool:
    """Whether the file has what is needed, as it is now."""
    for table, wide in needs.items():
        if not wide <= _wide_of(file, table):
            return False
        held = _places_of(file, table)
        if sources_of(store, table, held)[0] != held:
            return False
    return True


def bring_up_to_date(file: duckdb.DuckDBPyConnection, store: Store, needs: Needs) -> None:
    """Reads what is needed and new. What is read is committed place by place: if it is killed, the next goes on."""
    for table, wide in needs.items():
        if not wide <= (before := _wide_of(file, table)):
            run(file, "BEGIN")
            run(file, f"DELETE FROM held.{table}")
            run(file, "DELETE FROM held.places WHERE tab = ?", table)
            for name in sorted(wide - before):
                run(file, "INSERT INTO held.wide VALUES (?, ?)", table, name)
            run(file, "COMMIT")
        for left in reversed(range(MAX_MOVED)):
            try:
                _bring(file, store, table)
                break
            except FileNotFoundError:  # a place was merged or taken back after it was listed
                run(file, "ROLLBACK")
                if not left:
                    raise


def _wide_of(file: duckdb.DuckDBPyConnection, table: str) -> frozenset[str]:
    rows = run(file, "SELECT name FROM held.wide WHERE tab = ?", table)
    return frozenset(name for (name,) in rows)


def _places_of(file: duckdb.DuckDBPyConnection, table: str) -> frozenset[str]:
    rows = run(file, "SELECT name FROM held.places WHERE tab = ?", table)
    return frozenset(name for (name,) in rows)


def _bring(file: duckdb.DuckDBPyConnection, store: Store, table: str) -> None:
    held = _places_of(file, table)
    now, new = sources_of(store, table, held)
    if gone := held - now:
        run(file, "BEGIN")
        file.register("gone", pa.table({"name": pa.array(sorted(gone))}))
        of_gone = "SELECT place FROM held.places JOIN gone USING (name) WHERE tab = ?"
        run(file, f"DELETE FROM held.{table} WHERE place IN ({of_gone})", table)
        run(file, "DELETE FROM held.places WHERE tab = ? AND name IN (SELECT name FROM gone)", table)
        file.unregister("gone")
        run(file, "COMMIT")
    wide = _wide_of(file, table)
    columns = [name for name in COLUMNS[table].names if name in wide or name not in NAMED_ONLY[table]]
    for source in new:
        _insert(file, table, columns, source)


def _insert(file: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], source: Source) -> None:
    """Inserts the rows of some places, and their names, in one transaction."""
    run(file, "BEGIN")
    ((last,),) = run(file, "SELECT coalesce(max(place), 0) FROM held.places")
    numbers = [last + 1 + i for i in range(len(source.places))]
    waiting: list[pa.Table] = []
    n_bytes = 0
    for rows, i in source.read(columns):
        waiting.append(rows.append_column("place", pa.repeat(pa.scalar(numbers[i], pa.int32()), rows.num_rows)))
        n_bytes += waiting[-1].nbytes
        if n_bytes > INSERT_BYTES:
            _put(file, table, waiting)
            waiting, n_bytes = [], 0
    _put(file, table, waiting)
    named = {"tab": [table] * len(numbers), "name": list(source.places), "place": pa.array(numbers, pa.int32())}
    file.register("named", pa.table(named))
    run(file, "INSERT INTO held.places FROM named")
    file.unregister("named")
    run(file, "COMMIT")


def _put(file: duckdb.DuckDBPyConnection, table: str, waiting: list[pa.Table]) -> None:
    if not waiting:
        return
    file.register("rows", pa.concat_tables(waiting))
    run(file, f"INSERT INTO held.{table} BY NAME FROM rows")
    file.unregister("rows")

"""For other programs that read a table: the files that count now, and a view over them for DuckDB.

A list or view is valid as long as merged files are kept (`MergeSizes.grace_s`, an hour), even while merges go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from manifests.errors import UserError
from manifests.schema import REJECTS, TABLES, WIDE
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import joined


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows first … first + n_rows - 1 of a Parquet file; n_rows -1: all. `wide`: the file of wide columns, or ""."""

    path: str
    wide: str
    first: int
    n_rows: int


def read_table(url: str, table: str, columns: Sequence[str] = ()) -> pa.Table:
    """The committed rows of a table in an output directory; all columns if none are named. UserError if there is no
    such table.
    """
    if table not in TABLES:
        raise UserError(f"{table}: no such table; there are {', '.join(TABLES)}")
    return Store(url).read_table(table, list(columns) or None)


def rows_of_table(store: Store, table: str) -> list[FileRows]:
    """The location of a table's committed rows, in the order in which the store reads them; paths are URLs or local."""
    parts = store.parts(table)
    files = []
    for part in joined(parts):
        whole = store.fs.unstrip_protocol(store.path(part.path)) if not store.is_local else store.path(part.path)
        has_wide = part.n_rows >= 0 and WIDE.get(table)
        wide = f"{whole.removesuffix('.parquet')}.wide.parquet" if has_wide else ""
        files.append(FileRows(whole, wide, part.first, part.n_rows))
    return files


def duckdb_select(store: Store, table: str, columns: Sequence[str] = ()) -> str:
    """A SELECT of a table's committed rows, for DuckDB; without `columns`, all but the wide ones.

    One scan reads all single parts, one the segments' narrow files; wide columns are joined by row number.
    """
    schema = REJECTS if table.startswith("rejects/") else TABLES[table]
    apart = WIDE.get(table, ())
    names = list(columns) or [name for name in schema.names if name not in apart]
    rows = rows_of_table(store, table)
    loose = [row.path for row in rows if row.n_rows < 0]
    selects = []
    if loose:
        selects.append(f"SELECT {_list(names)} FROM read_parquet({_texts(loose)}, union_by_name=true)")
    if merged := [row for row in rows if row.n_rows >= 0]:
        selects.append(_of_segments(merged, names, apart))
    if not selects:
        nothing = ", ".join(f'NULL AS "{name}"' for name in names)
        return f"SELECT {nothing} WHERE false"
    return "\nUNION ALL ".join(selects)


def _of_segments(rows: list[FileRows], names: list[str], apart: Sequence[str]) -> str:
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        spans.setdefault(row.path, []).append((row.first, row.first + row.n_rows))
    ranges = [
        f"(filename = {_text(path)} AND ("
        + " OR ".join(f"file_row_number >= {a} AND file_row_number < {b}" for a, b in some)
        + "))"
        for path, some in spans.items()
    ]
    wide = [name for name in names if name in apart]
    picked = ", ".join(f'{"w" if name in wide else "n"}."{name}"' for name in names)
    scan = f"SELECT * FROM read_parquet({_texts(sorted(spans))}, filename=true, file_row_number=true)"
    select = f"SELECT {picked} FROM ({scan} WHERE {' OR '.join(ranges)}) n"
    if wide:
        beside = sorted({row.wide for row in rows})
        select += (
            f" JOIN read_parquet({_texts(beside)}, filename=true, file_row_number=true) w"
            " ON w.file_row_number = n.file_row_number"
            " AND w.filename = regexp_replace(n.filename, '\\.parquet$', '.wide.parquet')"
        )
    return select


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _texts(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, texts)) + "]"

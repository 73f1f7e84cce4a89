"""The file of DuckDB with the rows that the page shows, made of the views `all_clips` and `all_videos`.

It lies in the user's cache folder, is made again when the tables have changed, and shared by all who look at the same
directory. `remove` deletes it with the cache of the tables.
"""

from __future__ import annotations

import math
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.browse.filters import BINNED, FIELDS, Asked, Field, view_of
from pipeline.browse.text_index import TextIndex
from pipeline.engine.store.store import Store
from pipeline.query.cache import file_beside, files_beside
from pipeline.query.statements import connected, lock_down, run

VIEWS = ("all_clips", "all_videos")
MEMORY = "1GB"
N_BINS, MOST_SCORES = 6, 20
ROWS_AT_ONCE = 100_000


class RowsFile:
    """A file that is made and does not change any more."""

    def __init__(self, path: Path, state: str, stack: ExitStack) -> None:
        self.path, self.state, self.n_readers, self.is_retired = path, state, 0, False
        self._stack, self._one_at_a_time = stack, threading.Lock()
        self._connection = stack.enter_context(connected(str(path), read_only=True, memory_limit=MEMORY))
        spill = stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.stem}.spill-"))
        lock_down(self._connection, spill)
        self.fields = {**FIELDS, **_fields_of(self._connection)}
        self._text_index = TextIndex(path.with_suffix(".sqlite"), self._connection.cursor())

    @classmethod
    def made(cls, store: Store, state: str, tables: duckdb.DuckDBPyConnection) -> RowsFile:
        """The file of this state of the tables, made unless it is there."""
        stack = ExitStack()
        try:
            path = file_beside(store, f"browse-{state}.duckdb")
            olds = [old for old in files_beside(store, "browse-") if state not in old.name]
        except (OSError, RuntimeError):  # there is no cache folder
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hdvila-browse-"))
            path, olds = Path(folder) / f"browse-{state}.duckdb", []
        if not path.exists():
            _fill(path, tables)
        for old in olds:
            if old.is_file():
                old.unlink(missing_ok=True)
        return cls(path, state, stack)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one thread."""
        with self._one_at_a_time:  # DuckDB refuses a second call to a connection instead of waiting
            return self._connection.cursor()

    def source(self, cursor: duckdb.DuckDBPyConnection, asked: Asked) -> str:
        """What a statement selects from: the view's table, or those of its rows that may say the texts."""
        view = view_of(asked)
        numbers = self._text_index.rows_with(asked.texts) if asked.of == "clips" and asked.texts else None
        if numbers is None:
            return view
        cursor.register("may_say", pa.table({"number": pa.array(numbers, pa.int64())}))
        return f"(FROM {view} WHERE rowid IN (SELECT number FROM may_say))"

    def retire(self) -> None:
        """Closes it once nobody asks any more."""
        self.is_retired = True
        if not self.n_readers:
            self.close()

    def close(self) -> None:
        """Closes it, and forgets what was spilled."""
        self._text_index.close()
        self._stack.close()


def _fill(path: Path, tables: duckdb.DuckDBPyConnection) -> None:
    """Makes the file under a name of its own, then gives it its name: whoever finds it finds all of it."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.stem}.made-") as folder:
        new = Path(folder) / "new.duckdb"
        with connected(str(new), memory_limit=MEMORY) as file:
            for view in VIEWS:
                rows = tables.sql(f"FROM {view} ORDER BY video_id, n").to_arrow_reader(ROWS_AT_ONCE)
                file.register("rows", rows)
                run(file, f"CREATE TABLE {view} AS FROM rows")
                file.unregister("rows")
            _find_edges(file)
        new.replace(path)


def _find_edges(file: duckdb.DuckDBPyConnection) -> None:
    """Notes which scores there are, and where each number is counted between."""
    run(file, "CREATE TABLE edges (name VARCHAR, of_what VARCHAR, edges DOUBLE[], is_score BOOLEAN)")
    names = run(file, f"SELECT DISTINCT unnest(map_keys(scores)) FROM all_clips ORDER BY 1 LIMIT {MOST_SCORES}")
    scores = {name: _score(name) for (name,) in names if name not in FIELDS}
    for of, binned in (("clips", (*BINNED["clips"], *scores)), ("videos", BINNED["videos"])):
        for name in binned:
            column = (FIELDS | scores)[name].columns[0]
            ((ends,),) = run(file, f"SELECT approx_quantile({column}, [.02, .98]) FROM all_{of}")
            edges = _edges_within(*ends) if ends else []
            run(file, "INSERT INTO edges VALUES (?, ?, ?, ?)", name, of, edges, name in scores)


def _edges_within(low: float, high: float) -> list[float]:
    """Round numbers at even distances, at most some N_BINS of them."""
    if not high > low:
        return []
    step = 10.0 ** math.floor(math.log10((high - low) / N_BINS))
    step *= next(times for times in (1, 2, 5, 10) if step * times >= (high - low) / N_BINS)
    return [k * step for k in range(math.floor(low / step) + 1, math.ceil(high / step))]


def _score(name: str) -> Field:
    return Field((f"scores['{name}']",), "number", "a model's score (embeddings/)", of_videos=False)


def _fields_of(file: duckdb.DuckDBPyConnection) -> dict[str, Field]:
    """Fields as they are in a file: with its scores, and where numbers are counted between."""
    fields: dict[str, Field] = {}
    for name, of, edges, is_score in run(file, "FROM edges"):
        one = fields.get(name) or (_score(name) if is_score else FIELDS[name])
        fields[name] = replace(one, edges={**one.edges, of: tuple(edges)})
    return fields

"""The rows that the page shows, and its questions to them, while the tables may change."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb

from manifests.errors import DamagedFile, UserError, message_of_store_error, storage_errors
from pipeline.browse.filters import Asked, between, like_statement, order, read_line, value_of, where
from pipeline.browse.rows_file import VIEWS, RowsFile
from pipeline.engine.store.store import Store
from pipeline.query.cache import open_tables, state_of
from pipeline.query.catalogue import needs_of
from pipeline.query.statements import run

log = logging.getLogger("hdvila")

TEXTS = [f"FROM {view}" for view in VIEWS]
A_PAGE, A_FACET, MOST_GROUPS = 24, 12, 500
LOOK_AGAIN_S = 10.0
"""How long a page shows what is known before it looks for what is new; or five times as long as making it takes."""

Row = dict[str, Any]


def unreadable() -> tuple[type[BaseException], ...]:
    """What reading of a data set may raise: the page says it and goes on."""
    return (UserError, *storage_errors())


def said_of(error: BaseException) -> str:
    """What the page says of such an error."""
    return message_of_store_error(error) or str(error)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what a line asks for. `facets`: by name of a field, (value, count, name) of its most frequent ones."""

    rows: list[Row]
    n: int
    hours: float
    facets: dict[str, list[tuple[str, int, str]]]
    groups: list[Row] = field(default_factory=list)


class Rows:
    """See the module. Threads may ask side by side. `problems`: what could not be read, in words."""

    def __init__(self, store: Store) -> None:
        self.problems: tuple[str, ...] = ()
        self._store, self._guard = store, threading.Lock()
        self._open: RowsFile | None = None
        self._look_at, self._looking = 0.0, threading.Lock()
        self.follow()

    @property
    def state(self) -> str:
        """Another whenever the tables have changed."""
        assert self._open
        return self._open.state

    def close(self) -> None:
        """Closes the file, once nobody asks any more."""
        with self._guard:
            if self._open:
                self._open.retire()

    def follow(self) -> None:
        """Looks whether the tables have changed since, unless another thread does or it has just been done."""
        if time.monotonic() < self._look_at or not self._looking.acquire(blocking=self._open is None):
            return
        started = time.monotonic()
        try:
            self._bring_up_to_date()
        except unreadable() as error:
            if self._open is None:
                raise
            self.problems = (said_of(error),)
        finally:
            self._look_at = time.monotonic() + max(LOOK_AGAIN_S, 5 * (time.monotonic() - started))
            self._looking.release()

    def _bring_up_to_date(self) -> None:
        damaged: dict[str, str] = {}
        try:
            self._make()
        except DamagedFile:
            damaged = _damaged(self._store)
            if not damaged:
                raise
            self._make(damaged)
        self.problems = tuple(damaged.values())

    def _make(self, without: Sequence[str] | dict[str, str] = ()) -> None:
        with open_tables(self._store, *TEXTS, without=without) as tables:
            state = state_of(tables)[:24]
            if self._open and self._open.state == state:
                return
            file = RowsFile.made(self._store, state, tables)
        with self._guard:
            old, self._open = self._open, file
            if old:
                old.retire()

    @contextmanager
    def asking(self) -> Iterator[RowsFile]:
        """The file as it is now, which stays open inside the block."""
        with self._guard:
            assert self._open
            file = self._open
            file.n_readers += 1
        try:
            yield file
        finally:
            with self._guard:
                file.n_readers -= 1
                if file.is_retired and not file.n_readers:
                    file.close()

    # questions

    def read(self, line: str) -> Asked:
        """What a line asks for. UserError for a word that is wrong."""
        with self.asking() as file:
            return read_line(line, file.fields)

    def find(self, asked: Asked, first: int = 0) -> Found:
        """A page of what is asked for, from the row `first` on."""
        condition, values = where(asked)
        with self.asking() as file:
            cursor = file.cursor()
            source = file.source(cursor, asked)
            ((n, seconds),) = run(
                cursor, f"SELECT count(*), coalesce(sum(seconds), 0) FROM {source} WHERE {condition}", *values
            )
            facets = _facets(cursor, asked, source, condition, values)
            if asked.group:
                return Found([], n, seconds / 3600, facets, _groups(cursor, asked, source, condition, values))
            text = f"SELECT * FROM {source} WHERE {condition} ORDER BY {order(asked)} LIMIT {A_PAGE} OFFSET {first:d}"
            return Found(_dicts(cursor, text, values), n, seconds / 3600, facets)

    def of_kind(self, kind: str, id_: str) -> Row | None:
        """A row of this clip, video or channel; None if there is none."""
        views = {"clip": ("all_clips",), "video": ("all_videos", "all_clips"), "channel": ("all_clips", "all_videos")}
        with self.asking() as file:
            for view in views[kind]:
                if found := _dicts(file.cursor(), f"SELECT * FROM {view} WHERE {kind}_id = ? LIMIT 1", [id_]):
                    return found[0]
        return None

    def alike(self, clip_id: str) -> list[tuple[Row, int]]:
        """The clips that look most like this one, and in how many bits of 64 they differ; [] if it has no hash."""
        text, values = like_statement(clip_id)
        with open_tables(self._store, text) as tables:
            bits = dict(run(tables, text, *values))
        with self.asking() as file:
            listed = ", ".join("?" * len(bits)) or "NULL"
            rows = _dicts(file.cursor(), f"SELECT * FROM all_clips WHERE clip_id IN ({listed})", [*bits])
        of = {row["clip_id"]: row for row in rows}
        return [(of[each], n) for each, n in bits.items() if each in of]

    @staticmethod
    def numbered(file: RowsFile, numbers: Sequence[int]) -> dict[int, Row]:
        """Clips by the numbers of their rows in a file."""
        listed = ", ".join("?" * len(numbers)) or "NULL"
        found = _dicts(file.cursor(), f"SELECT rowid, * FROM all_clips WHERE rowid IN ({listed})", numbers)
        return {row.pop("rowid"): row for row in found}

    def drawn(self, asked: Asked, n: int, seed: int) -> list[tuple[str, str]]:
        """(id, category) of n clips, drawn by a seed as evenly over categories as there are some."""
        condition, values = where(asked)
        chance = f"md5(clip_id || ' {seed:d}')"
        with self.asking() as file:
            cursor = file.cursor()
            text = (
                f"SELECT clip_id, category FROM (SELECT clip_id, category, {chance} AS chance, row_number() OVER"
                f" (PARTITION BY category ORDER BY {chance}) AS place FROM all_clips WHERE {condition}"
                f" QUALIFY place <= {n:d} ORDER BY place, md5(category || ' {seed:d}') LIMIT {n:d}) ORDER BY chance"
            )
            return [(clip_id, category) for clip_id, category in run(cursor, text, *values)]

    def id_at(self, asked: Asked, at: int) -> str:
        """The id of the clip at this place, from 0, of what is asked for; "" if there are no more."""
        condition, values = where(asked)
        with self.asking() as file:
            cursor = file.cursor()
            source = file.source(cursor, asked)
            text = f"SELECT clip_id FROM {source} WHERE {condition} ORDER BY {order(asked)} LIMIT 1 OFFSET {at:d}"
            return next((clip_id for (clip_id,) in run(cursor, text, *values)), "")


def _damaged(store: Store) -> dict[str, str]:
    """By name of a table that cannot be read: what is wrong with it."""
    found: dict[str, str] = {}
    for table in needs_of(TEXTS):
        try:
            with open_tables(store, f"SELECT 1 FROM {table}"):
                pass
        except DamagedFile as error:
            found[table] = str(error)
    return found


def _dicts(cursor: duckdb.DuckDBPyConnection, text: str, values: Sequence[Any]) -> list[Row]:
    rows = run(cursor, text, *values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _name_of(name: str, column: str = "channel") -> str:
    """What a value is called, in SQL: a channel's id by its name, where that is known."""
    return f"any_value({column})" if name == "channel" else "''"


def _facets(
    cursor: duckdb.DuckDBPyConnection, asked: Asked, source: str, condition: str, values: list[Any]
) -> dict[str, list[tuple[str, int, str]]]:
    names, lists = asked.faceted, [name for name in asked.faceted if asked.fields[name].kind == "list"]
    columns = [f'{asked.fields[n].columns[0] if n in lists else value_of(n, asked)} AS "{n}"' for n in names]
    each = [
        f"""(SELECT '{name}', {"unnest" if name in lists else ""}("{name}") AS value, count(*) AS n,"""
        f" {_name_of(name, 'called')} FROM shown GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT {A_FACET})"
        for name in names
    ]
    how = "MATERIALIZED" if asked.terms else "NOT MATERIALIZED"
    shown = f"SELECT {', '.join(columns)}, channel AS called FROM {source} WHERE {condition}"
    text = f"WITH shown AS {how} ({shown}) {' UNION ALL '.join(each)}"
    facets: dict[str, list[tuple[str, int, str]]] = {name: [] for name in names}
    for name, value, n, called in run(cursor, text, *values):
        facets[name].append((value or "", n, called or value or ""))
    for name in names:
        if edges := asked.fields[name].edges.get(asked.of):
            of = {value: (value, n, value) for value, n, _ in facets[name]}
            facets[name] = [of[word] for word in between(edges) if word in of]
    return {name: found for name, found in facets.items() if any(value for value, _, _ in found)}


def _groups(
    cursor: duckdb.DuckDBPyConnection, asked: Asked, source: str, condition: str, values: list[Any]
) -> list[Row]:
    text = (
        f"SELECT {value_of(asked.group, asked)} AS value, count(*) AS n, {_name_of(asked.group)} AS called,"
        " count(*) FILTER (status = 'kept') AS n_kept, count(*) FILTER (status = 'rejected') AS n_rejected,"
        f" sum(seconds) / 3600 AS hours FROM {source} WHERE {condition} GROUP BY 1 ORDER BY 2 DESC, 1"
        f" LIMIT {MOST_GROUPS}"
    )
    return _dicts(cursor, text, values)

"""The DuckDB file with the tables of an output directory, in the user's cache folder.

It may be deleted at any time, also by hand: it is made again from the tables. One that is damaged, of another version
of this program, or from before a removal, is made again with one line in the log.

Processes that only read share it. Who brings it up to date holds it alone, and waits until the others have ended.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO

import duckdb

from manifests.errors import UserError
from manifests.shards import RECORDS, TOMBSTONES
from pipeline.engine.store.store import Store
from pipeline.query import catalogue
from pipeline.query.facts import make_facts
from pipeline.query.fill import bring_up_to_date, is_up_to_date, make_tables
from pipeline.query.statements import connected, lock_down, run

log = logging.getLogger("hdvila")

FORMAT = 1
"""Raised when the same columns of a file mean something else than before."""
MEMORY = "1GB"
"""What DuckDB keeps in memory; it spills what is beyond."""
MOST_SPILLED_BYTES = 100 * 1000**3
"""Or half of what is free on the disk, if that is less."""
DAMAGED = (duckdb.IOException, duckdb.SerializationException, duckdb.CatalogException, duckdb.InvalidInputException)
"""What opening a file raises that is no DuckDB file, is cut off, of a later DuckDB, or was not begun by us."""
ELSEWHERE = "free some space, or set XDG_CACHE_HOME to a folder on another disk"


@contextmanager
def open_tables(store: Store, *texts: str, without: Collection[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that only reads: the tables and views that these texts of SQL name, as they are now.

    `without`: tables of which no more is read than the file has, since they are damaged. UserError if there is no disk
    for it.
    """
    needs, views = catalogue.needs_of(texts), catalogue.in_order(texts)
    words = frozenset(
        word for text in [*texts, *(catalogue.VIEWS[view] for view in views)] for word in catalogue.words_of(text)
    )
    if all(map(catalogue.shows_columns, texts)):
        needs, views, words = {}, catalogue.in_order(catalogue.VIEWS), words.union(*catalogue.NAMED_ONLY.values())
    needs = {table: wide for table, wide in needs.items() if table not in without}
    with ExitStack() as stack:
        path, lock = _place(store, stack)
        _lock(lock, fcntl.LOCK_SH, store)
        if not _is_right(path, store, needs):
            _lock(lock, fcntl.LOCK_EX, store)
            _make(path, store, needs)
            _lock(lock, fcntl.LOCK_SH, store)
        file = stack.enter_context(_opened(path))
        _show(file, words, views)
        spill = stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent, prefix=_spill_of(path)))
        most = min(MOST_SPILLED_BYTES, shutil.disk_usage(path.parent).free // 2)
        lock_down(file, spill, max_temp_directory_size=f"{most // 1000}KB")
        yield file


def forget_tables(store: Store) -> None:
    """Deletes the file with the tables of an output directory, and all made of it, if this machine has one."""
    try:
        _delete(_folder() / f"{_name_of(store)}.duckdb")
        for path in files_beside(store, ""):
            path.unlink(missing_ok=True)
    except (OSError, RuntimeError):  # there is no folder for it
        return


def file_beside(store: Store, name: str) -> Path:
    """Where a file lies that is made of the tables of an output directory. OSError or RuntimeError without a folder."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{_name_of(store)}-of-{name}"


def files_beside(store: Store, begin: str) -> list[Path]:
    """Those that are there, whose names begin so."""
    return sorted(_folder().glob(f"{_name_of(store)}-of-{begin}*"))


def state_of(file: duckdb.DuckDBPyConnection) -> str:
    """A hash of what the tables are made of: another whenever a row may be another."""
    places = run(file, "SELECT tab, name FROM held.places ORDER BY ALL")
    ((made_of,),) = run(file, "SELECT made_of FROM held.about")
    return hashlib.sha256(json.dumps([made_of, places, catalogue.VIEWS]).encode()).hexdigest()


def _folder() -> Path:
    """$XDG_CACHE_HOME/hdvila/tables, else ~/.cache/hdvila/tables. RuntimeError if there is no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hdvila" / "tables"


def _name_of(store: Store) -> str:
    where = str(Path(store.root).resolve()) if store.is_local else store.url.rstrip("/")
    last = re.sub(r"\W+", "-", where.rpartition("/")[2])[:40]
    return f"{last}-{hashlib.sha256(where.encode()).hexdigest()[:16]}"


def _place(store: Store, stack: ExitStack) -> tuple[Path, IO[str]]:
    """Where the file is or will be, and its open lock; in a temporary folder, where there is no cache folder."""
    try:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{_name_of(store)}.lock").open("a")
    except (OSError, RuntimeError):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hdvila-tables-")))
        lock = (folder / f"{_name_of(store)}.lock").open("a")
    return folder / f"{_name_of(store)}.duckdb", stack.enter_context(lock)


def _lock(lock: IO[str], how: int, store: Store) -> None:
    """Locks the file, or waits; says so once."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("%s: another process of this machine reads its tables; waiting for it", store.url)
        fcntl.flock(lock, how)


def _opened(path: Path, *, to_write: bool = False) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    return connected(str(path), read_only=not to_write, memory_limit=MEMORY)


def _is_right(path: Path, store: Store, needs: catalogue.Needs) -> bool:
    """Whether the file is there, is of this directory and version, and has what is needed."""
    if not path.exists():
        return False
    try:
        with _opened(path) as file:
            return not _fault_of(file, store) and is_up_to_date(file, store, needs)
    except DAMAGED:
        return False


def _make(path: Path, store: Store, needs: catalogue.Needs) -> None:
    """Makes the file, or brings it up to date. The caller holds it alone."""
    for left in path.parent.glob(f"{_spill_of(path)}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        if path.exists() and (fault := _fault_at(path, store)):
            log.warning("%s: the cache of its tables (%s) is made again: %s", store.url, path, fault)
            _delete(path)
        with _opened(path, to_write=True) as file:
            if _is_empty(file):
                run(file, "BEGIN")
                make_tables(file)
                run(file, "CREATE TABLE held.about AS SELECT ? AS made_of", _made_of(store))
                run(file, "COMMIT")
            bring_up_to_date(file, store, needs)
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException, OSError) as error:
        if isinstance(error, OSError) and str(path.parent) not in str(error.filename):
            raise
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: the cache of the tables cannot be written ({reason}); {ELSEWHERE}") from None


def _fault_at(path: Path, store: Store) -> str:
    """Why a file is of no use; "" if it is."""
    try:
        with _opened(path, to_write=True) as file:
            return "" if _is_empty(file) else _fault_of(file, store)
    except DAMAGED as error:
        return str(error).splitlines()[0]


def _is_empty(file: duckdb.DuckDBPyConnection) -> bool:
    return run(file, "SELECT 1 FROM information_schema.schemata WHERE schema_name = 'held'") == []


def _fault_of(file: duckdb.DuckDBPyConnection, store: Store) -> str:
    is_same = run(file, "SELECT made_of FROM held.about") == [(_made_of(store),)]
    return "" if is_same else "it is of another version or directory, or from before a removal"


def _made_of(store: Store) -> str:
    """What a file must have been made of: a removal may have emptied rows in place."""
    removed = store.read(TOMBSTONES) if store.exists(TOMBSTONES) else b""
    columns = {table: [f"{field.name} {field.type}" for field in schema] for table, schema in catalogue.COLUMNS.items()}
    facts = [FORMAT, _name_of(store), columns, hashlib.sha256(removed).hexdigest(), store.names(RECORDS)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _delete(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}.wal")):
        each.unlink(missing_ok=True)


def _spill_of(path: Path) -> str:
    return f"{path.stem}.spill-"


def _show(file: duckdb.DuckDBPyConnection, words: frozenset[str], views: list[str]) -> None:
    """Makes the views, and the tables of what the program knows."""
    make_facts(file, {name for (name,) in run(file, "SELECT DISTINCT stage FROM held.rejects")})
    for table in catalogue.COLUMNS:
        run(file, catalogue.view_of(table, words))
    for name in views:
        run(file, f"CREATE TEMP VIEW {name} AS {catalogue.VIEWS[name]}")

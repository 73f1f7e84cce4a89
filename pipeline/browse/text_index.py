"""Which clips may say a text: an index of all runs of three letters, by SQLite's FTS5, in a file beside the rows.

It only narrows a search down: DuckDB looks at the sentences themselves, so a text is found wherever it stands, in
languages without spaces too, and whether the index is there or not. Below MOST_SCANNED clips it is not made.
"""

import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import duckdb

from pipeline.query.statements import run

log = logging.getLogger("hdvila")

MOST_SCANNED = 1_000_000
"""Sentences that DuckDB reads through in less than half a second."""
MOST_FOUND = 500_000
"""A text that more clips may say is looked for in all of them."""
SHORTEST = 3
ROWS_AT_ONCE = 50_000


class TextIndex:
    """See the module. A thread makes it while the page is there already."""

    def __init__(self, path: Path, rows: duckdb.DuckDBPyConnection) -> None:
        self._path, self._rows, self._stopped = path, rows, threading.Event()
        self._is_made = path.exists()
        ((n,),) = run(rows, "SELECT count(*) FROM all_clips")
        self._maker = threading.Thread(target=self._make, name="text-index", daemon=True)
        if n > MOST_SCANNED and not self._is_made:
            self._maker.start()

    def rows_with(self, texts: list[str]) -> list[int] | None:
        """Numbers of the rows that may say all these texts; None if any row may."""
        if not self._is_made:
            return None
        lower = [text for (text,) in run(self._rows.cursor(), "SELECT lower(unnest(?))", texts)]  # as it was made
        runs = {text[at : at + SHORTEST] for text in lower for at in range(len(text) - SHORTEST + 1)}
        if not runs:
            return None
        match = " AND ".join('"' + run_.replace('"', '""') + '"' for run_ in sorted(runs))
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as index:
            asked = "SELECT rowid FROM said WHERE said MATCH ? LIMIT ?"
            found = [number for (number,) in index.execute(asked, (match, MOST_FOUND + 1))]
        return found if len(found) <= MOST_FOUND else None

    def wait(self) -> None:
        """Waits until it is made."""
        self._maker.join()

    def close(self) -> None:
        """Stops making it."""
        self._stopped.set()
        if self._maker.is_alive():
            self._maker.join()

    def _make(self) -> None:
        new = self._path.with_suffix(".sqlite-new")
        new.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(new)) as index:
                index.execute("PRAGMA journal_mode = OFF")
                index.execute("PRAGMA synchronous = OFF")
                how = "content='', detail=none, columnsize=0, tokenize='trigram case_sensitive 1'"
                index.execute(f"CREATE VIRTUAL TABLE said USING fts5(text, {how})")
                rows = self._rows.cursor()
                rows.execute("SELECT rowid, lower(text) FROM all_clips")
                while not self._stopped.is_set() and (some := rows.fetchmany(ROWS_AT_ONCE)):
                    index.executemany("INSERT INTO said(rowid, text) VALUES (?, ?)", some)
                index.commit()
            if not self._stopped.is_set():
                new.replace(self._path)
                self._is_made = True
        except (sqlite3.Error, OSError) as error:
            log.warning("%s: no index of the sentences, searches read all of them (%s)", self._path, error)
        finally:
            new.unlink(missing_ok=True)

"""The tables that SQL sees, and what a text of SQL needs of them.

Columns that take much space, and the two that say where a row comes from, are there only where a text names them:
`SELECT *` leaves them out. So a question about counts never reads captions.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from manifests.schema import REJECTS, SELECTION, SHARD_ROWS, TABLES, WIDE

OF_SHARDS = pa.schema([("shard", pa.string()), ("split", pa.string()), ("generation", pa.int32())])
OF_FAILED = ("status", "error_message", "reason")
"""Columns of a shard's rows that say the same of every sample."""
SAMPLES = pa.schema([*(field for field in SHARD_ROWS if field.name not in OF_FAILED), *OF_SHARDS])
SCORES = pa.schema([("key", pa.string()), ("scores", pa.map_(pa.string(), pa.float64()))])
"""The numbers of a sample's rows in embeddings/, by column."""

COLUMNS: dict[str, pa.Schema] = {
    **TABLES,
    "rejects": REJECTS,
    "selection": SELECTION,
    "samples": SAMPLES,
    "scores": SCORES,
}
"""By name of a table: its columns."""
ORIGIN = pa.schema([("part", pa.string()), ("row", pa.int64())])
"""What each row also has: its part, by whose name a table is ordered, and its number in it, from 0. Of rows that say
different things of the same clip, those of the last part count.
"""
NAMED_ONLY = {table: (*WIDE.get(table, ()), *ORIGIN.names) for table in COLUMNS}
NAMED_ONLY["samples"] += ("caption", "members")
"""By table: the columns that are there only where a text names them."""

STAGES = "stages"
VIEWS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "views").glob("*.sql"))}
"""By name of a view: its SELECT."""

Needs = dict[str, frozenset[str]]
"""By table: its wide columns that are needed."""


def words_of(text: str) -> frozenset[str]:
    """The names in a text of SQL, in small letters; not what stands in strings and comments."""
    data = text.encode()
    tokens = duckdb.tokenize(text)
    ends = [start for start, _ in tokens[1:]] + [len(data)]
    kinds = (duckdb.token_type.identifier, duckdb.token_type.keyword)
    named = (data[start:end].decode() for (start, kind), end in zip(tokens, ends, strict=True) if kind in kinds)
    return frozenset(match[0].lower() for match in map(re.compile(r"\w+").search, named) if match)


def views_in(text: str) -> frozenset[str]:
    """The views that a text of SQL names."""
    return words_of(text) & VIEWS.keys()


def in_order(texts: Iterable[str]) -> list[str]:
    """The views that texts need, or are, each after those that it needs itself."""
    ordered: dict[str, None] = {}

    def add(text: str) -> None:
        for view in sorted(views_in(text) - ordered.keys()):
            add(VIEWS[view])
            ordered[view] = None

    for text in texts:
        add(text)
    return list(ordered)


def shows_columns(text: str) -> bool:
    """Whether a statement only asks which tables or columns there are."""
    return text.lower().split(maxsplit=1)[:1] in (["describe"], ["desc"], ["show"])


def needs_of(texts: Iterable[str]) -> Needs:
    """What some texts of SQL need: tables, and which of their wide columns."""
    words = frozenset(word for text in texts for word in words_of(text))
    while more := {word for view in words & VIEWS.keys() for word in words_of(VIEWS[view])} - words:
        words |= more
    return {table: frozenset(NAMED_ONLY[table]) & words - set(ORIGIN.names) for table in COLUMNS if table in words}


def view_of(table: str, words: frozenset[str]) -> str:
    """The statement that shows a table of the file, with those of its columns that are for everyone or named."""
    hidden = set(NAMED_ONLY[table]) - words
    names = ", ".join(f'"{name}"' for name in [*COLUMNS[table].names, *ORIGIN.names] if name not in hidden)
    return f"CREATE TEMP VIEW {table} AS SELECT {names} FROM held.{table}"

"""Rows of a long list, set aside by part, so that the list is read once and not once for each of its parts.

lists/<digest of its head>-<part>.jsonl.zst    [number, name, is of the site, spans, what else is kept of the row]

Who reads a list for one part writes down the rows of those after it; who lists such a part finds its rows here. What is
not here, since it was lost or the list has changed, is read from the list again. A part goes when the next is read.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.addresses import without_secrets
from pipeline.crawl.sources.spans import text_of
from pipeline.engine.store.store import Store

FOLDER = "lists"
MOST_FILES = 400
"""Open at a time; the parts after these are set aside when the list is read again."""
KEPT = ("title", "channel", "duration")

Row = tuple[int, str, bool, str, dict[str, Any]]
"""Number, name, whether it is of the site, spans, and columns by our names; of these, KEPT are set aside."""


@dataclass(slots=True)
class SetAside:
    """The parts of a list that one reading sets aside: from `first` to below `end`. Used in a `with` block."""

    store: Store
    scratch: Path
    digest: str
    first: int
    end: int
    _files: dict[int, pa.NativeFile] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "SetAside":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stores them, unless the reading failed."""
        self._open.close()
        for part in self._files if kind is None else ():
            self.store.put(self._local(part), path_of(self.digest, part))

    def add(self, part: int, row: Row) -> None:
        """Writes a row down if its part is set aside."""
        if not self.first <= part < min(self.end, self.first + MOST_FILES):
            return
        if part not in self._files:
            packed = pa.CompressedOutputStream(str(self._local(part)), "zstd")
            self._files[part] = self._open.enter_context(packed)
        number, name, is_site, spans, columns = row
        kept = {key: columns[key] for key in KEPT if isinstance(columns.get(key), str | int | float)}
        if not name:  # it is rejected under its address
            kept["url"] = without_secrets(text_of(columns.get("url")) or text_of(columns.get("id")))
        self._files[part].write(json.dumps([number, name, is_site, spans, kept]).encode() + b"\n")

    def _local(self, part: int) -> Path:
        return self.scratch / f"{self.digest}-{part}.jsonl.zst"


def path_of(digest: str, part: int) -> str:
    """Where a part lies."""
    return f"{FOLDER}/{digest}-{part:06d}.jsonl.zst"


def rows_set_aside(store: Store, digest: str, part: int, *, is_last: bool) -> Iterator[Row] | None:
    """The rows of a part, None if they are not here. The part before it goes, and so does the last one."""
    path = path_of(digest, part)
    if not store.exists(path):
        return None
    packed = store.read(path)
    store.delete_all([path_of(digest, part - 1), *([path] if is_last else [])])
    lines = pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read()
    return (tuple(json.loads(line)) for line in lines.splitlines())


def forget_rows(store: Store) -> None:
    """Deletes all that is set aside: it is read from the lists again, if it is still wanted."""
    store.delete_all([f"{FOLDER}/{name}" for name in store.names(FOLDER)])

"""Reads the rows of a list: CSV, TSV, JSON Lines, Parquet or plain lines, also as .gz or .zst, on a disk or elsewhere.

One row is in memory at a time (of Parquet one batch), however long the file, and so is one line of at most
MAX_LINE_BYTES. What cannot be read as a row is given as its text, for whoever counts such lines.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
import pyarrow as pa

from manifests.addresses import without_secrets
from manifests.content import content_hash
from manifests.errors import UserError, is_of_a_store, message_of_store_error, storage_errors
from manifests.extras import why
from manifests.origin import video_id_of
from manifests.parquet import open_parquet
from pipeline.site.redact import redact

MAX_LINE_BYTES = 16 * 1024**2
"""What is longer is read as several lines; also the most characters of a CSV's field."""
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON = (".jsonl", ".json", ".ndjson")
_BATCH_ROWS = 1024
UNNAMED = "column 1"
"""What the first column of a table is called that names none of several."""
_AROUND = "\"', \t"
"""What people leave around an id."""

TableRow = dict[str, Any]
"""A row of a user's table by column: its contents are up to them."""


def read_rows(file: str) -> Iterator[TableRow | str]:
    """Yields the rows in order; a line that is none as its text. UserError for a file that cannot be read, naming it.

    A file with another suffix than .csv, .tsv and .parquet has JSON objects or, if its first line is none, an id or
    address a line: rows with the column `url`, as of a CSV without names of columns.
    """
    with opened(file) as (stream, _):
        yield from rows_in(stream, file)


@contextmanager
def opened(file: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The file's content, unpacked, and the file as it lies there. What goes wrong inside becomes a UserError."""
    try:
        with fsspec.open(file, "rb") as raw:
            packing = _PACKED.get(_suffix(file))
            yield (io.BufferedReader(pa.CompressedInputStream(raw, packing)) if packing else raw), raw
    except (ValueError, ImportError, *storage_errors()) as error:  # type: ignore[misc]  # pyarrow's are ValueErrors
        seen: BaseException = error
        while isinstance(seen, FileNotFoundError) and seen.__cause__:  # what fsspec says of a server that refuses, too
            seen = seen.__cause__
        if isinstance(seen, FileNotFoundError) or getattr(seen, "status", 0) in (404, 410):
            raise UserError(f"{without_secrets(file)}: no such file; check crawl.lists.files") from None
        said = message_of_store_error(error) if is_of_a_store(error) else why(seen)
        raise UserError(f"{without_secrets(file)}: cannot be read ({redact(said)[:200]})") from None


def hashes_of(files: Iterable[str]) -> dict[str, str]:
    """{file, by its whole path or its address without secrets: hash of its content (manifests/content.py)}. UserError
    for one that cannot be read.
    """
    found = {}
    for file in files:
        with opened(file) as (_, raw):
            found[name_of_list(file)] = hash_of_list(raw)
    return found


def name_of_list(file: str) -> str:
    """What a list is noted as."""
    return without_secrets(file) if "://" in file else str(Path(file).absolute())


def hash_of_list(raw: IO[bytes]) -> str:
    """The hash of its content, of all of it if its server does not say how long it is."""
    if getattr(raw, "size", 0) is None:
        return hashlib.file_digest(raw, "sha256").hexdigest()  # type: ignore[arg-type]
    return content_hash(raw)


def rows_in(stream: IO[bytes], file: str) -> Iterator[TableRow | str]:
    """The rows of an open file; its name says of which kind it is."""
    kind = kind_of(file)
    if kind == ".parquet":
        for batch in open_parquet(stream, is_foreign=True).iter_batches(batch_size=_BATCH_ROWS):
            yield from batch.to_pylist()
        return
    lines = _lines(stream)
    if kind in _DELIMITERS:
        yield from _cells(lines, _DELIMITERS[kind])
        return
    first = next((line for line in lines if line.strip()), "")
    read = _json_row if kind in _JSON or first.lstrip().startswith(("{", "[")) else _plain_row
    yield from (row for line in chain((first,), lines) if (row := read(line.strip())))


def parquet_rows(stream: IO[bytes], file: str) -> int | None:
    """The number of rows as a Parquet file states it; None for other kinds, which do not."""
    return open_parquet(stream, is_foreign=True).metadata.num_rows if kind_of(file) == ".parquet" else None


def kind_of(file: str) -> str:
    """The suffix that says how a file is read, without that of its packing."""
    name = file.partition("?")[0]
    packed = _suffix(name)
    return _suffix(name.lower().removesuffix(packed)) if packed in _PACKED else packed


def _suffix(file: str) -> str:
    return PurePosixPath(file.partition("?")[0]).suffix.lower()


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines with their ends; what is no UTF-8 is replaced."""
    start = stream.readline(MAX_LINE_BYTES)
    yield start.decode("utf-8-sig", errors="replace")
    while line := stream.readline(MAX_LINE_BYTES):
        yield line.decode("utf-8", errors="replace")


def _cells(lines: Iterator[str], delimiter: str) -> Iterator[TableRow | str]:
    """The rows of a table by the names in its first row. Where that has none and several cells, the columns are called
    "column 1", "column 2" …, so that nobody takes some of them for all.
    """
    rows = _csv_rows(lines, delimiter)
    first: list[list[str]] = []
    while len(first) < 2 and (row := next(rows, None)) is not None:
        if isinstance(row, str):
            yield row
        else:
            first.append(row)
    if not first:
        return
    names = first[0]
    if not _are_names(*first):
        filled = [n for n, cell in enumerate(names) if cell]
        names = ["url" if filled == [n] else UNNAMED.replace("1", str(n + 1)) for n in range(len(names))]
    for row in chain(first[names is first[0] :], rows):
        yield (
            row
            if isinstance(row, str)
            else {name: cell for name, cell in zip(names, row, strict=False) if cell and name}
        )


def _csv_rows(lines: Iterator[str], delimiter: str) -> Iterator[list[str] | str]:
    """The rows that hold anything; what cannot be read, as its error."""
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            if row := next(reader):
                yield row
        except StopIteration:
            return
        except csv.Error as error:
            yield f"line {reader.line_num}: {error}"


_NAME = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+(?![a-z]))(?:[_-]?(?:[A-Z]?[a-z]+|[A-Z]+(?![a-z])))*[_-]?\d+")
"""Words with a number after them: a column may be called so, and hardly ever an id."""


def _are_names(first: Sequence[str], second: Sequence[str] = ()) -> bool:
    """Whether the first row of a table names its columns: it does if it holds no video. A name that might be an id,
    such as `timestamp_1`, is told by its form, or by the second row, where the videos are in another column.
    """
    for n, cell in enumerate(first):
        if cell.startswith(("http://", "https://")):
            return False
        if video_id_of(cell) and re.search(r"\d", cell):
            below = [bool(video_id_of(other)) for other in second]
            return bool(_NAME.fullmatch(cell)) or (any(below) and below[n : n + 1] != [True])
    return True


def _json_row(line: str) -> TableRow | str:
    try:
        row = json.loads(line) if line else ""
    except (ValueError, RecursionError):
        return line
    return row if isinstance(row, dict) else line


def _plain_row(line: str) -> TableRow | str:
    text = line.partition(" ")[0] if line.startswith("http") else line.partition("#")[0]
    return {"url": text} if (text := text.strip(_AROUND)) else ""

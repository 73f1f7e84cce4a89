"""Reads the rows of a list: CSV, TSV, JSON Lines, Parquet or plain lines, also as .gz or .zst, on a disk or elsewhere.

One row is in memory at a time (of Parquet one batch), however long the file, and so is one line of at most
MAX_LINE_BYTES. What cannot be read as a row is given as its text, for whoever counts such lines.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
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
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(lines, delimiter=delimiter)
    names: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"line {reader.line_num}: {error}"
            continue
        if names is None:
            found = _first_video(cells)
            names = cells if found is None else ["" if n != found else "url" for n in range(len(cells))]
            if found is None:
                continue
        if cells:
            yield {name: cell for name, cell in zip(names, cells, strict=False) if cell and name}


def _first_video(cells: list[str]) -> int | None:
    """The first cell that is an address, or an id with a digit: such a row is no row of names."""
    for n, cell in enumerate(cells):
        if cell.startswith(("http://", "https://")) or (video_id_of(cell) and re.search(r"\d", cell)):
            return n
    return None


def _json_row(line: str) -> TableRow | str:
    try:
        row = json.loads(line) if line else ""
    except (ValueError, RecursionError):
        return line
    return row if isinstance(row, dict) else line


def _plain_row(line: str) -> TableRow | str:
    text = line.partition(" ")[0] if line.startswith("http") else line.partition("#")[0]
    return {"url": text} if (text := text.strip(_AROUND)) else ""

"""Reads rows of a CSV, TSV, Parquet or JSON Lines file, local or on object storage, one batch in memory at a time."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa

from manifests.errors import UserError
from manifests.parquet import open_parquet

MAX_FIELD_CHARACTERS = 16 * 1024**2
_KINDS = ("csv", "tsv", "parquet", "jsonl", "json")

TableRow = dict[str, Any]
"""A row of a user's table by column: its contents are up to them."""


def read_rows(file: str) -> Iterator[TableRow]:
    """Yields the rows in order. Raises UserError for a file that cannot be read, naming it and the line."""
    kind = PurePosixPath(file.partition("?")[0]).suffix.removeprefix(".").lower()
    if kind not in _KINDS:
        raise UserError(f"{file}: not a readable table; its name must end in .csv, .tsv, .parquet or .jsonl")
    try:
        with fsspec.open(file, "rb") as opened:
            yield from _parquet(opened) if kind == "parquet" else _text(opened, kind, file)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; check urls.files") from None
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        raise UserError(f"{file}: cannot be read as {kind} ({error})") from None


def _parquet(opened: Any) -> Iterator[TableRow]:
    for batch in open_parquet(opened, is_foreign=True).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def _text(opened: Any, kind: str, file: str) -> Iterator[TableRow]:
    lines = io.TextIOWrapper(opened, encoding="utf-8-sig", newline="")
    if kind in ("csv", "tsv"):
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        for row in csv.DictReader(lines, delimiter="\t" if kind == "tsv" else ","):
            yield {name: value for name, value in row.items() if isinstance(name, str) and value not in (None, "")}
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parsed: Any = None
        with suppress(ValueError):
            parsed = json.loads(line)
        if not isinstance(parsed, dict):
            raise UserError(f"{file}, line {number}: not a JSON object")
        yield parsed

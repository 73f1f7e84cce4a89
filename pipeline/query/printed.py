"""Prints an answer: as a table for reading, as CSV or as lines of JSON for other programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from manifests.errors import printable

if TYPE_CHECKING:
    from pipeline.query.ask import Answer, Row

MOST_SHOWN = 100
"""Rows of a table for reading."""
MOST_CELL = 60
"""Columns on a terminal that a value takes in a table."""


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


def print_answer(answer: Answer, how: Format) -> None:
    """Prints an answer to standard output."""
    if how is Format.CSV:
        _print_csv(answer)
    elif how is Format.JSONL:
        _print_lines(answer)
    else:
        _print_table(answer)


def _print_csv(answer: Answer) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(answer.columns)
    for rows in answer.rows:
        out.writerows([[_text(value) for value in row] for row in rows])


def _print_lines(answer: Answer) -> None:
    for rows in answer.rows:
        for row in rows:
            values = dict(zip(answer.columns, map(_finite, row), strict=True))
            print(json.dumps(values, ensure_ascii=False, default=_text))


def _print_table(answer: Answer) -> None:
    rows = list(islice(chain.from_iterable(answer.rows), MOST_SHOWN + 1))
    console = Console(highlight=False, markup=False)
    cells = [[printable(_text(value)) for value in row] for row in rows[:MOST_SHOWN]]
    widths = [_width(name, cells, i) for i, name in enumerate(answer.columns)]
    if sum(widths) + 2 * len(widths) <= console.width or not cells:
        console.print(_beside(answer.columns, rows, cells, widths), soft_wrap=True)
    else:
        _print_below(answer.columns, cells, console)
    if len(rows) > MOST_SHOWN:
        print(f"the first {MOST_SHOWN} rows; --format csv or jsonl prints all", file=sys.stderr)


def _width(name: str, cells: Sequence[Sequence[str]], i: int) -> int:
    return max([cell_len(name), *(min(MOST_CELL, cell_len(row[i])) for row in cells)])


def _beside(names: Sequence[str], rows: Sequence[Row], cells: Sequence[Sequence[str]], widths: Sequence[int]) -> Table:
    """A line for each row."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for i, name in enumerate(names):
        is_number = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        table.add_column(name, justify="right" if is_number else "left", no_wrap=True, min_width=widths[i])
    for row in cells:
        table.add_row(*(Text(_cut(text)) for text in row))
    return table


def _cut(text: str) -> str:
    return text if cell_len(text) <= MOST_CELL else set_cell_size(text, MOST_CELL - 1).rstrip() + "…"


def _print_below(names: Sequence[str], cells: Sequence[Sequence[str]], console: Console) -> None:
    """A line for each value, where the columns are too many to stand beside each other."""
    width = max(map(cell_len, names))
    for row in cells:
        for name, text in zip(names, row, strict=True):
            console.print(Text(f"{name:{width}}  {text}"), no_wrap=True, overflow="ellipsis")
        console.print()


def _text(value: Any) -> str:
    """A value as text; bytes as hexadecimal digits, lists and structures as JSON."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_text)
    return str(value)


def _finite(value: Any) -> Any:
    """JSON has no word for a number that is none."""
    return None if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))) else value

"""One expression of SQL over a table's columns: which samples are taken (`data.where`), and how often.

DuckDB reads and evaluates it, with no way to a file, a net or another setting. An expression looks at one row: it has
no aggregates, no windows and nothing that differs from call to call. `file('NAME')` is the set of keys in a file, one
a line (or JSON with a `key`, as lost.jsonl has): `key not in file('lost.jsonl')`.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.schema import RECORDED

_FILE = re.compile(r"\bfile\s*\(\s*'([^']*)'\s*\)", re.IGNORECASE)
_FLAG = re.compile(r"\bflags\s*\.\s*(?:(\w+)|\"([^\"]+)\")")
_SETTINGS: dict[str, Any] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "allow_community_extensions": False,
    "threads": 1,
    "lock_configuration": True,
}
_DIFFERS = """SELECT DISTINCT function_name FROM duckdb_functions()
WHERE stability = 'VOLATILE'
OR regexp_matches(function_name, '^(now|today|transaction_timestamp|(get_)?current_.*)$')"""
_ROW = "the row's number"


class Expression:
    """An expression, ready to be evaluated. `key`: the setting that has it, for messages.

    `lines_of` reads a file that it names. UserError if it is none.
    """

    def __init__(self, key: str, text: str, lines_of: Callable[[str], list[str]]) -> None:
        import duckdb  # in two extras, and most runs have no such expression

        self._duckdb, self._key, self._text = duckdb, key, text
        self.flags = sorted({word or quoted for word, quoted in _FLAG.findall(text)})
        self.files: dict[str, list[str]] = {}
        self._connection = duckdb.connect(config=_SETTINGS)
        try:
            self._refuse_others()
            self._parsed = duckdb.SQLExpression(_FILE.sub(lambda match: self._keys_of(match[1], lines_of), text))
        except duckdb.Error as error:
            raise self._refused(error) from None

    def names(self, column: str) -> bool:
        """Whether a column may be meant: its name occurs."""
        return re.search(rf"\b{re.escape(column)}\b", self._text, re.IGNORECASE) is not None

    def of(self, rows: pa.Table) -> pa.Array:
        """Its value for each row. UserError if a column is not there, or it can't be evaluated."""
        duckdb, numbers = self._duckdb, pa.array(range(rows.num_rows), pa.int64())
        try:
            asked = self._connection.from_arrow(rows.append_column(_ROW, numbers))
            made = asked.select(duckdb.ColumnExpression(_ROW), self._parsed).to_arrow_table()
        except duckdb.Error as error:
            raise self._refused(error, rows.column_names) from None
        if made.num_columns != 2 or made.num_rows != rows.num_rows:
            raise UserError(f"{self._key}: {self._text!r} does not have one value for each sample")
        return made.sort_by(_ROW).column(1).combine_chunks()

    def truths(self, rows: pa.Table) -> pa.BooleanArray:
        """Whether it holds, by row; null where that is not known. UserError if it isn't true or false."""
        values = self.of(rows)
        if not pa.types.is_boolean(values.type):
            raise UserError(f"{self._key}: {self._text!r} is neither true nor false but {values.type}")
        return values

    def numbers(self, rows: pa.Table) -> pa.DoubleArray:
        """Its number, by row; null where that is not known. UserError if it isn't a number."""
        values = self.of(rows)
        if pa.types.is_string(values.type):
            raise UserError(f"{self._key}: {self._text!r} is no number but {values.type}")
        try:
            return values.cast(pa.float64())
        except pa.ArrowException:
            raise UserError(f"{self._key}: {self._text!r} is no number but {values.type}") from None

    def _refuse_others(self) -> None:
        """Refuses what looks at other rows, and what differs from call to call."""
        data, kind = self._text.encode(), self._duckdb.token_type
        starts = [(start, of) for start, of in self._duckdb.tokenize(self._text)]
        found = (re.match(rb"\w+", data[start:]) for start, of in starts if of in (kind.identifier, kind.keyword))
        words = {match[0].decode().lower() for match in found if match}
        known = {name for (name,) in self._connection.execute(_DIFFERS).fetchall()}
        if odd := sorted(words & (known | {"over", "select"})):
            raise UserError(
                f"{self._key}: {self._text!r}: {odd[0]!r} is not possible here: an expression says the same of a "
                "sample every time, from its own columns"
            )

    def _keys_of(self, name: str, lines_of: Callable[[str], list[str]]) -> str:
        """Registers the keys in a file; returns the SELECT that has them."""
        keys = self.files.setdefault(name, [_key_in(line) for line in lines_of(name) if line.strip()])
        table = f"file_{list(self.files).index(name)}"
        self._connection.register(table, pa.table({"key": pa.array(keys, pa.string())}))
        return f"(SELECT key FROM {table})"

    def _refused(self, error: Exception, columns: list[str] | None = None) -> UserError:
        reason = re.sub(r"^\w+( \w+)* Error: ", "", str(error)).split("\n\n")[0].splitlines()
        there = f"; the columns are {', '.join(c for c in columns if c != _ROW)}" if columns else ""
        return UserError(f"{self._key}: {self._text!r} cannot be evaluated: {' '.join(reason[:2])}{there}")


def with_flags(rows: pa.Table, names: list[str]) -> pa.Table:
    """The rows, with `flags` (a JSON list) as a struct that says of each of these names whether the sample has it."""
    texts = rows.column("flags").combine_chunks()
    there = [pc.match_substring(texts, json.dumps(name)) for name in names]
    flags = pa.StructArray.from_arrays(there or [texts], names or ["list"])
    return rows.set_column(rows.column_names.index("flags"), "flags", flags)


def with_nulls(rows: pa.Table) -> pa.Table:
    """The rows with null for what was not recorded: -1 and "" in columns that come from KEY.json."""
    for at, name in enumerate(rows.column_names):
        if name in RECORDED and name != "flags":
            column = rows.column(name)
            is_text = pa.types.is_string(column.type)
            unknown = pc.equal(column, "") if is_text else pc.less(column, 0)
            rows = rows.set_column(at, name, pc.if_else(unknown, pa.scalar(None, column.type), column))
    return rows


def lines_in(name: str, **storage_options: Any) -> list[str]:
    """The lines of a file that an expression names: a path, or an address with these options."""
    try:
        with fsspec.open(name, "r", encoding="utf-8", **(storage_options if "://" in name else {})) as file:
            return list(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: cannot be read ({error})") from None


def _key_in(line: str) -> str:
    """The key in a line of a file: the line itself, or the `key` of a JSON object."""
    if not line.startswith("{"):
        return line.strip()
    try:
        return str(json.loads(line)["key"])
    except (ValueError, KeyError, RecursionError):
        raise UserError(f"{line[:80]!r} has no key") from None

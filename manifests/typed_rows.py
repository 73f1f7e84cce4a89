"""Makes manifests/rows.py from the schemas: `python -m manifests.typed_rows > manifests/rows.py`. A test compares."""

import pyarrow as pa

from manifests.schema import MANIFEST, MATCHES, REJECTS, SELECTION, SHARD_ROWS, TABLES, WORD

HEAD = '''"""The type of a row of each table, made by `python -m manifests.typed_rows`: change the schema, not this.

For code inside a unit, which handles rows one at a time. What works on a whole data set stays on Arrow columns.
"""

from typing import TypedDict
'''

SINGULAR = {
    **{f"{table.removesuffix('s').capitalize()}Row": schema for table, schema in TABLES.items() if table != "matches"},
    "MatchRow": MATCHES,
    "SelectionRow": SELECTION,
    "RejectRow": REJECTS,
    "ShardRow": SHARD_ROWS,
    "ManifestRow": MANIFEST,
}


def module() -> str:
    """The whole text of manifests/rows.py."""
    parts = [HEAD, _class("WordRow", WORD)]
    parts += [_class(name, schema) for name, schema in SINGULAR.items()]
    return "\n\n".join(parts)


def _class(name: str, fields: pa.Schema | pa.StructType) -> str:
    columns = [(field.name, python_type(field.type)) for field in fields]
    if any(column == "class" for column, _ in columns):  # a Python keyword: only the functional form accepts it
        lines = [f'    "{name}",', "    {", *(f'        "{c}": {t},' for c, t in columns), "    },"]
        return "\n".join([f"{name} = TypedDict(", *lines, ")", ""])
    return "\n".join([f"class {name}(TypedDict):", *(f"    {c}: {t}" for c, t in columns), ""])


def python_type(kind: pa.DataType) -> str:
    """The Python type of an Arrow type's values, as source code."""
    if kind == WORD:
        return "WordRow"
    if pa.types.is_list(kind):
        return f"list[{python_type(kind.value_type)}]"
    tests = {
        "bool": pa.types.is_boolean,
        "int": pa.types.is_integer,
        "float": pa.types.is_floating,
        "str": pa.types.is_string,
        "bytes": pa.types.is_binary,
    }
    return next(name for name, holds in tests.items() if holds(kind))


if __name__ == "__main__":
    print(module(), end="")

"""The types of rows: one for every table, with its columns."""

from manifests import rows
from manifests.schema import TABLES
from manifests.typed_rows import SINGULAR


def test_every_table_has_a_row_type_with_its_columns() -> None:
    assert {id(schema) for schema in TABLES.values()} <= {id(schema) for schema in SINGULAR.values()}
    for name, schema in SINGULAR.items():
        assert list(getattr(rows, name).__annotations__) == schema.names

"""The row types are those of the schema."""

from pathlib import Path

from manifests import rows
from manifests.schema import TABLES
from manifests.typed_rows import SINGULAR, module

REPO = Path(__file__).resolve().parents[2]


def test_the_module_is_made_from_the_schema() -> None:
    made = (REPO / "manifests" / "rows.py").read_text()

    assert made == module(), "run: python -m manifests.typed_rows > manifests/rows.py"


def test_every_table_has_a_row_type_with_its_columns() -> None:
    assert {id(schema) for schema in TABLES.values()} <= {id(schema) for schema in SINGULAR.values()}
    for name, schema in SINGULAR.items():
        assert list(getattr(rows, name).__annotations__) == schema.names

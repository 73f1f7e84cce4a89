"""The row types are those of the schema."""

from pathlib import Path

from manifests.typed_rows import module

REPO = Path(__file__).resolve().parents[2]


def test_the_module_is_made_from_the_schema() -> None:
    made = (REPO / "manifests" / "rows.py").read_text()

    assert made == module(), "run: python -m manifests.typed_rows > manifests/rows.py"

"""The page of tables and codes is made from the tables."""

from pathlib import Path

from manifests.reference import reference

REPO = Path(__file__).resolve().parents[2]


def test_the_reference_page_is_made_from_the_tables() -> None:
    page = REPO / "docs" / "reference.md"

    assert page.read_text() == reference(), "run: python -m manifests.reference > docs/reference.md"

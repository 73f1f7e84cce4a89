"""What a text of SQL needs of the tables."""

import pytest

from pipeline.query.catalogue import needs_of


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT count(*) FROM videos", {"videos"}),
        ("from CLIPS", {"clips"}),
        ('SELECT * FROM "packs" p JOIN videos v USING (video_id)', {"packs", "videos"}),
        (
            "WITH a AS (SELECT * FROM captions) SELECT * FROM a WHERE x IN (SELECT y FROM samples)",
            {"captions", "samples"},
        ),
        ("SELECT 'é', 'from videos' FROM clips -- and packs", {"clips"}),
        ("SELECT 1", set()),
        ("FROM rejects_in_force", {"rejects", "videos", "transcripts", "clips", "packs"}),
    ],
)
def test_only_the_tables_that_are_named_are_needed(text: str, tables: set[str]) -> None:
    assert needs_of([text]).keys() == tables


def test_wide_columns_are_needed_only_where_they_are_named() -> None:
    assert needs_of(["SELECT * FROM clips WHERE clip_id = 'text'"]) == {"clips": frozenset()}
    assert needs_of(["SELECT Text, row FROM clips"]) == {"clips": frozenset({"text"})}
    assert needs_of(["SELECT c.text FROM clips c", "SELECT words FROM transcripts"]) == {
        "clips": frozenset({"text"}),
        "transcripts": frozenset({"words"}),
    }

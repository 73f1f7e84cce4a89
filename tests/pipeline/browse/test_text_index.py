"""The index of sentences: with it or without, the same clips are found."""

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.browse import text_index
from pipeline.browse.text_index import TextIndex

SENTENCES = ["Straße İstanbul", "世界你好啊", "the cat sat", 'a "quoted" word', "THE CAT", "", "ab", "x' OR 1=1 --"]
ROWS = duckdb.connect()
PIECES = st.tuples(st.sampled_from(SENTENCES), st.integers(0, 9), st.integers(1, 9))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> TextIndex:
    ROWS.execute("CREATE TABLE all_clips AS SELECT unnest(?) AS text", [SENTENCES])
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(text_index, "MOST_SCANNED", 0)
        made = TextIndex(tmp_path_factory.mktemp("index") / "i.sqlite", ROWS.cursor())
        made.wait()
    return made


def found(texts: list[str]) -> set[int]:
    """By DuckDB, which reads all sentences."""
    said = " AND ".join("contains(lower(text), lower(?))" for _ in texts)
    return {row for (row,) in ROWS.execute(f"SELECT rowid FROM all_clips WHERE {said}", texts).fetchall()}


@given(st.lists(PIECES, min_size=1, max_size=2))
def test_it_loses_no_clip_that_says_the_texts(index: TextIndex, pieces: list[tuple[str, int, int]]) -> None:
    texts = [piece for text, at, size in pieces if (piece := text[at : at + size])] or ["cat"]
    may = index.rows_with(texts)
    assert may is None or found(texts) <= set(may)


def test_it_narrows_down(index: TextIndex) -> None:
    assert index.rows_with(["the cat"]) == [2, 4]
    assert index.rows_with(["你好啊"]) == [1]
    assert index.rows_with(["ab"]) is None, "too short to look up"


def test_a_small_data_set_has_none(tmp_path: Path) -> None:
    with duckdb.connect() as rows:
        rows.execute("CREATE TABLE all_clips AS SELECT 'text' AS text")
        with closing(TextIndex(tmp_path / "i.sqlite", rows)) as none:
            assert none.rows_with(["text"]) is None
    assert not [*tmp_path.iterdir()]


def test_one_that_is_there_is_read_and_not_made_again(index: TextIndex) -> None:
    before = index._path.stat().st_mtime_ns
    with duckdb.connect() as rows:
        rows.execute("CREATE TABLE all_clips AS SELECT 'text' AS text")
        assert TextIndex(index._path, rows).rows_with(["the cat"]) == [2, 4]
    assert index._path.stat().st_mtime_ns == before and sqlite3.sqlite_version_info > (3, 34)

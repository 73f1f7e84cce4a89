"""A statement of a person: it reads, and nothing else; it ends in time."""

import os
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.engine.store.store import Store
from pipeline.query import ask as asking
from pipeline.query import cache as caching
from pipeline.query.ask import ask
from tests.pipeline.engine.merges import fill


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An output directory with six clips and a reject."""
    made = Store(str(tmp_path / "out"))
    fill(made, ["u1", "u2"])
    return made


def answer(store: Store, text: str) -> list[tuple[object, ...]]:
    with ask(store, text) as answered:
        return [row for rows in answered.rows for row in rows]


def test_tables_and_what_follows_from_them_can_be_joined(store: Store) -> None:
    text = "SELECT title, count(*) AS n FROM clips JOIN videos USING (video_id) GROUP BY ALL ORDER BY title"
    with ask(store, text) as answered:
        assert answered.columns == ["title", "n"]
        rows = [row for rows in answered.rows for row in rows]
    assert rows == [(f"u{unit} {i} version 0", 2 - i) for unit in (1, 2) for i in (0, 1)]
    assert answer(store, "SELECT video_id, reason FROM rejects_in_force") == [("u2-x", "private")]


def test_nothing_is_drawn_between_the_lines_of_an_answer(store: Store) -> None:
    """A bar comes after two seconds, for which no test waits."""
    assert answer(store, "SELECT current_setting('enable_progress_bar')") == [(False,)]


def test_all_of_a_long_answer_comes(store: Store) -> None:
    assert len(answer(store, "SELECT * FROM range(25000)")) == 25000


def test_which_tables_and_columns_there_are_is_said_without_reading_them(store: Store, cache: Path) -> None:
    assert ("clips",) in answer(store, "SHOW TABLES")
    columns = {row[0] for row in answer(store, "DESCRIBE clips")}
    assert {"clip_id", "text", "part", "row"} <= columns
    assert "place" not in columns


def test_columns_that_take_space_come_where_they_are_named(store: Store) -> None:
    with ask(store, "SELECT * FROM clips") as answered:
        assert "text" not in answered.columns
        assert "clip_id" in answered.columns
    assert len(answer(store, "SELECT clip_id, text FROM clips WHERE text <> ''")) == 6


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE held.clips",
        "INSERT INTO held.clips SELECT * FROM held.clips",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO '{out}'",
        "ATTACH '{out}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '1TB'",
        "CREATE TABLE own (a INTEGER)",
        "",
    ],
)
def test_what_does_not_read_is_refused(store: Store, tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="not one SELECT"):
        answer(store, text.format(out=tmp_path / "written"))
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT getenv('HOME')",
        "SELECT * FROM statement",
    ],
)
def test_no_file_variable_or_address_can_be_read(store: Store, text: str) -> None:
    statement = [1]  # DuckDB would find a variable of Python by its name
    assert statement
    with pytest.raises(UserError):
        answer(store, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM clips", "nope"),
        ("SELECT * FROM clip", "rejects_in_force"),  # which tables there are
        ("SELECT CAST(video_id AS INTEGER) FROM clips", "u1-0"),
    ],
)
def test_an_error_of_sql_is_one_message(store: Store, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        answer(store, text)


FOREVER = "SELECT count(*) FROM range(1000000000000) WHERE range % 7 = 3"


def test_a_question_that_takes_too_long_is_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_S", 0.2)
    with pytest.raises(UserError, match="ask for less"):
        answer(store, FOREVER)


def test_a_question_that_needs_more_disk_than_it_may_have_is_one_message(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "MEMORY", "50MB")
    monkeypatch.setattr(caching, "MOST_SPILLED_BYTES", 10_000_000)
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        answer(store, "SELECT range, random() AS r FROM range(30000000) ORDER BY r")
    assert os.environ["XDG_CACHE_HOME"]

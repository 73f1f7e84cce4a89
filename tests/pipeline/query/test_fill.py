"""A file that is brought up to date again and again has the rows of the store, whatever happens to the store."""

import random
from pathlib import Path

import duckdb
import pytest

from pipeline.engine.store.store import Store
from pipeline.query.fill import bring_up_to_date, is_up_to_date, make_tables, run
from tests.pipeline.engine.merges import fill, merge_all

NEEDS = {"clips": frozenset[str](), "videos": frozenset[str](), "rejects": frozenset[str]()}


@pytest.fixture
def file() -> duckdb.DuckDBPyConnection:
    """An empty file, in memory."""
    made = duckdb.connect(":memory:")
    make_tables(made)
    return made


def held(file: duckdb.DuckDBPyConnection, table: str, columns: list[str]) -> list[tuple[object, ...]]:
    return run(file, f"SELECT {', '.join(columns)} FROM held.{table} ORDER BY part, row")


def stored(store: Store, table: str, columns: list[str]) -> list[tuple[object, ...]]:
    rows = store.read_rejects(columns) if table == "rejects" else store.read_table(table, columns)
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_it_follows_a_store_that_grows_merges_and_takes_back(
    tmp_path: Path, file: duckdb.DuckDBPyConnection, seed: int
) -> None:
    store, rng = Store(str(tmp_path)), random.Random(seed)
    made: list[str] = []
    for step in range(12):
        new = [f"u{step * 10 + i}" for i in range(rng.randrange(1, 5))]
        fill(store, new)
        made += new
        again = rng.sample(made, k=min(len(made), rng.randrange(3)))
        store.uncommit("making", *again)
        if rng.random() < 0.5:
            fill(store, again, version=step + 1)
        else:
            made = [unit for unit in made if unit not in again]
        if rng.random() < 0.5:
            merge_all(store)
        if rng.random() < 0.3:
            continue  # not every state is seen
        bring_up_to_date(file, store, NEEDS)
        assert is_up_to_date(file, store, NEEDS)
        for table, columns in {
            "clips": ["clip_id", "start_ms"],
            "videos": ["video_id", "title"],
            "rejects": ["stage", "video_id", "reason"],
        }.items():
            assert held(file, table, columns) == stored(store, table, columns)


def test_what_is_there_is_not_read_again(
    tmp_path: Path, file: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    fill(store, ["u1", "u2"])
    bring_up_to_date(file, store, NEEDS)
    fill(store, ["u3"])
    assert not is_up_to_date(file, store, NEEDS)
    read: list[str] = []
    whole = Store.read_part
    monkeypatch.setattr(Store, "read_part", lambda *given: [read.append(given[1].unit), whole(*given)][1])

    bring_up_to_date(file, store, {"clips": frozenset()})

    assert read == ["u3"]


def test_a_wide_column_comes_when_it_is_first_needed(tmp_path: Path, file: duckdb.DuckDBPyConnection) -> None:
    store = Store(str(tmp_path))
    fill(store, ["u1", "u2"])
    bring_up_to_date(file, store, {"clips": frozenset()})
    assert held(file, "clips", ["text"]) == [(None,)] * 6
    needs = {"clips": frozenset({"text"})}
    assert not is_up_to_date(file, store, needs)

    bring_up_to_date(file, store, needs)

    assert held(file, "clips", ["clip_id", "text"]) == stored(store, "clips", ["clip_id", "text"])

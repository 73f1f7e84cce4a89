"""DuckDB and Polars read what the store reads, with and without merges, as the files lie."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from pipeline.engine.store.views import duckdb_select, rows_of_table
from pipeline.outdir.accounts import unit_gaps
from tests.pipeline.engine.merges import UNITS, fill, merge_all

duckdb = pytest.importorskip("duckdb")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out's"))


def by_duckdb(store: Store, table: str, columns: list[str]) -> list[tuple[object, ...]]:
    return sorted(duckdb.sql(duckdb_select(store, table, columns)).fetchall())


def by_the_store(store: Store, table: str, columns: list[str]) -> list[tuple[object, ...]]:
    return sorted(tuple(row.values()) for row in store.read_table(table, columns).to_pylist())


@pytest.mark.parametrize("columns", [["clip_id", "start_ms"], ["clip_id", "text"]], ids=["narrow", "wide"])
def test_duckdb_reads_what_counts_before_during_and_after_merges(store: Store, columns: list[str]) -> None:
    assert by_duckdb(store, "clips", columns) == []
    fill(store, UNITS)
    assert by_duckdb(store, "clips", columns) == by_the_store(store, "clips", columns)

    select = duckdb_select(store, "clips", columns)
    before = by_the_store(store, "clips", columns)
    merge_all(store, MergeSizes(3, 2, grace_s=3600))
    assert sorted(duckdb.sql(select).fetchall()) == before, "a view made before a merge still reads what it named"

    store.uncommit("extract", "u3", "u8")
    fill(store, ["u3", "u70"], version=1)
    assert by_duckdb(store, "clips", columns) == by_the_store(store, "clips", columns)
    assert len(by_duckdb(store, "videos", ["video_id"])) == 2 * 13


def test_a_merged_table_is_one_glob_for_polars_and_pandas(store: Store) -> None:
    polars = pytest.importorskip("polars")
    import pandas

    fill(store, UNITS)
    merge_all(store)

    ids = sorted(store.read_table("clips", ["clip_id"]).column("clip_id").to_pylist())
    glob = f"{store.root}/segments/*/*/clips.parquet"
    assert sorted(polars.scan_parquet(glob).select("clip_id").collect()["clip_id"].to_list()) == ids
    files = sorted({row.path for row in rows_of_table(store, "clips")})
    assert sorted(pandas.concat(map(pandas.read_parquet, files))["clip_id"]) == ids


def test_duckdb_and_the_books_of_verify_see_all_rows_while_merges_go_on(store: Store) -> None:
    fill(store, UNITS)
    over, wrong, looks = threading.Event(), [], Counter()

    def by_views() -> None:
        while not over.wait(0.02):  # the merges have to get on too
            reader = Store(store.url)
            select = duckdb_select(reader, "clips", ["clip_id", "text"])
            counted = duckdb.connect().sql(f"SELECT count(*), count(DISTINCT clip_id) FROM ({select})")
            n_rows, n_ids = counted.fetchall()[0]
            looks["views"] += 1
            if n_rows != n_ids or n_rows % 3 or n_rows < 3 * len(UNITS):
                wrong.append((n_rows, n_ids))

    def by_books() -> None:
        while not over.wait(0.02):  # the merges have to get on too
            looks["books"] += 1
            wrong.extend(unit_gaps(Store(store.url)))

    threads = [threading.Thread(target=look) for look in (by_views, by_books)]
    for thread in threads:
        thread.start()
    try:
        for begin in range(20, 44, 3):
            fill(store, [f"u{i}" for i in range(begin, begin + 3)])
            merge_all(store, MergeSizes(3, 2, grace_s=3600))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not wrong and min(looks.values()) > 2

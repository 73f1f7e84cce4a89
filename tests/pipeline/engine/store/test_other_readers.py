"""Tables as other programs read them: through `read_table` beside merges, and as files once all is merged."""

import threading
from collections import Counter
from pathlib import Path

import pandas
import pytest

from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store, read_table
from pipeline.outdir.accounts import unit_gaps
from tests.pipeline.engine.merges import UNITS, fill, merge_all

duckdb = pytest.importorskip("duckdb")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out's"))


def test_a_merged_table_is_one_glob_for_duckdb_polars_and_pandas(store: Store) -> None:
    polars = pytest.importorskip("polars")
    fill(store, UNITS)
    merge_all(store)

    ids = sorted(store.read_table("clips", ["clip_id"]).column("clip_id").to_pylist())
    glob = f"{store.root}/segments/*/*/clips.parquet"
    assert sorted(polars.scan_parquet(glob).select("clip_id").collect()["clip_id"].to_list()) == ids
    assert sorted(duckdb.read_parquet(glob).project("clip_id").fetchall()) == [(clip_id,) for clip_id in ids]
    files = sorted({store.path(part.path) for part in store.parts("clips")})
    assert sorted(pandas.concat(map(pandas.read_parquet, files))["clip_id"]) == ids


def test_a_table_and_the_books_of_verify_show_all_rows_while_merges_go_on(store: Store) -> None:
    fill(store, UNITS)
    over, wrong, looks = threading.Event(), [], Counter()

    def by_tables() -> None:
        while not over.wait(0.02):  # the merges have to get on too
            clips = read_table(store.url, "clips", ["clip_id", "text"])
            n_rows, n_ids = duckdb.connect().sql("SELECT count(*), count(DISTINCT clip_id) FROM clips").fetchall()[0]
            looks["tables"] += 1
            if n_rows != n_ids or n_rows != clips.num_rows or n_rows % 3 or n_rows < 3 * len(UNITS):
                wrong.append((n_rows, n_ids))

    def by_books() -> None:
        while not over.wait(0.02):  # the merges have to get on too
            looks["books"] += 1
            wrong.extend(unit_gaps(Store(store.url)))

    threads = [threading.Thread(target=look) for look in (by_tables, by_books)]
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

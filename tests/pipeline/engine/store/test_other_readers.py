"""Tables as other programs read them: through `read_table` beside merges, and as files once all is merged."""

from pathlib import Path

import pandas
import pytest

from pipeline.engine.store.store import Store
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

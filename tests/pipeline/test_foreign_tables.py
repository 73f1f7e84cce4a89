"""Tables that we wrote, asked by engines that others wrote: DuckDB and Polars, by file name alone."""

from pathlib import Path

import pytest

from hdvila_testing.shards import NO_CARD, a_data_set
from manifests.shards import read_manifest
from pipeline.config.shards import ShardsConfig, SplitConfig


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=8, config=ShardsConfig(max_samples=6, split=SplitConfig(val=0.2), card=NO_CARD))
    return folder


def test_duckdb_joins_shards_with_the_videos_that_they_come_from(made: Path) -> None:
    import duckdb

    shards, videos = f"{made}/shards/*/*.parquet", f"{made}/videos/*.parquet"
    ((clips, titled, least, most),) = duckdb.sql(
        f"""select count(*), count(title), min(duration_ms), max(json_array_length(clips))
        from read_parquet('{shards}') join read_parquet('{videos}') using (video_id) where status = 'success'"""
    ).fetchall()

    assert clips == titled == read_manifest(str(made)).head["totals"]["samples"]
    assert least > 0 and most == 1


def test_polars_counts_categories_and_finds_members_as_the_manifest_says(made: Path) -> None:
    import polars

    manifest = read_manifest(str(made))
    rows = polars.scan_parquet(f"{made}/shards/*/*.parquet").filter(polars.col("status") == "success")
    counted = rows.group_by("category_id").len().collect()
    assert dict(counted.iter_rows()) == {int(i): n for i, n in manifest.head["totals"]["categories"].items()}

    first = rows.filter(polars.col("key") == rows.select(polars.col("key").first()).collect().item()).collect()
    offset = int(first["members"].str.json_path_match("$.txt[0]").item())
    size = int(first["members"].str.json_path_match("$.txt[1]").item())
    shard = next(e for e in manifest.shards if first["key"].item().encode() in (made / e.url).read_bytes())
    assert (made / shard.url).read_bytes()[offset : offset + size].decode() == first["caption"].item()

    table = polars.read_parquet(made / "manifest.parquet")
    assert table["nsamples"].sum() == manifest.head["totals"]["samples"]

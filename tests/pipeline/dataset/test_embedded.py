"""Embeddings in a data set's directory, when videos of it are removed."""

from pathlib import Path

import numpy as np
import pytest

from hdvila_testing.shards import NO_CARD, a_data_set
from manifests.embeddings import Head, read_embedded, read_head, refuse_other_manifest, table_bytes, table_name
from manifests.files import Files
from manifests.schema import EMBEDDED
from manifests.shards import read_manifest, read_shard_rows
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones

WIDTH = 3


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Six videos in shards of five clips, with embeddings: that of the n-th sample of a shard is n everywhere."""
    a_data_set(
        tmp_path, n_videos=6, n_clips=2, config=ShardsConfig(max_samples=5, split=SplitConfig(val=0), card=NO_CARD)
    )
    manifest = read_manifest(str(tmp_path))
    files = Files(str(tmp_path / "embeddings/a-model"))
    head = Head("a" * 64, manifest.sha256, WIDTH, batch=1, sentences=1)
    files.write("head.json", head.as_bytes())
    for shard in manifest.shards:
        keys = read_shard_rows(manifest, shard)["key"].to_pylist()
        numbers = np.arange(len(keys))
        vectors = np.repeat(numbers, WIDTH).reshape(-1, WIDTH).astype(np.float16)
        rows = dict.fromkeys(EMBEDDED.names, numbers) | {"key": keys}
        files.write(table_name(shard), table_bytes(shard, head, rows, vectors, vectors))
    return tmp_path


def embedded(folder: Path) -> dict[str, list[float]]:
    manifest, files = read_manifest(str(folder)), Files(str(folder / "embeddings/a-model"))
    head = read_head(files)
    refuse_other_manifest(head, manifest, files.url)
    tables = [read_embedded(files, head, shard) for shard in manifest.shards]
    return {key: row.tolist() for t in tables for key, row in zip(t.rows["key"].to_pylist(), t.video, strict=True)}


@pytest.mark.parametrize("purge", [False, True])
def test_rows_of_removed_videos_go_and_the_others_are_still_those_of_the_data_set(made: Path, purge: bool) -> None:
    before = embedded(made)
    for video in ("video-00001", "video-00004"):
        remove(Store(str(made)), Tombstones(frozenset([video])), purge=purge)

    after = embedded(made)
    gone = {key for key in before if key.startswith(("video-00001", "video-00004"))}
    assert len(gone) == 4 and after == {key: row for key, row in before.items() if key not in gone}
    assert not any(b"video-00001" in path.read_bytes() for path in (made / "embeddings").rglob("*.parquet"))


def test_a_table_that_cannot_be_read_goes_as_a_whole(made: Path) -> None:
    tables = sorted((made / "embeddings/a-model").glob("*.parquet"))
    for table in tables:
        table.write_bytes(table.read_bytes()[:-30])

    remove(Store(str(made)), Tombstones(frozenset(["video-00001"])))

    left = sorted(path.name for path in (made / "embeddings/a-model").glob("*.parquet"))
    assert len(left) < len(tables)

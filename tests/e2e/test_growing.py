"""Data from the first day: shards close and the manifest grows while media is fetched."""

import json
from pathlib import Path

import pytest

from manifests.shards import read_manifest, read_published
from pipeline.engine.store.store import Store
from tests.e2e.conftest import Finished
from tests.e2e.small_run import line_of

pytestmark = pytest.mark.slow


def first_and_all(out: Path) -> tuple[int, int]:
    """How many videos the batches had before the first shards were closed, and how many all batches have."""
    n_batches = json.loads((out / "generations" / "00000.json").read_text())["n_batches"]
    sizes = [len(json.loads(file.read_text())["video_ids"]) for file in sorted((out / "batches").glob("*.json"))]
    return sum(sizes[:n_batches]), sum(sizes)


@pytest.mark.timeout(1500)
def test_the_manifest_grows_from_the_first_closed_shard_on(finished: Finished) -> None:
    out = finished.out
    first, last = read_published(str(out), finished.facts.first), read_manifest(str(out))

    assert finished.facts.n_media < len(Store(str(out)).committed("media")), "media was still to be fetched"
    n_first, n_all = first_and_all(out)
    assert 2 * n_first <= n_all, "the first manifest within the first half of the work, on any machine"
    assert {shard.url for shard in first.shards} < {shard.url for shard in last.shards}
    assert all(shard in last.shards for shard in first.shards), "what is closed stays as it is"
    assert len(line_of(out)) > 2

"""Who holds a copy can tell what was removed from it, and after a purge nobody else can."""

import json
from pathlib import Path

import hdvila_testing.shards as toys
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.remove import remove
from pipeline.outdir.tombstones import Tombstones, days_of_removal, hashed, read_tombstones

CONFIG = ShardsConfig(max_samples=5, split=SplitConfig(val=0), card=toys.NO_CARD)


def test_what_went_is_listed_for_copies_elsewhere_by_name_and_after_a_purge_by_salted_hash(tmp_path: Path) -> None:
    store = toys.a_data_set(tmp_path, n_videos=2, n_clips=2, config=CONFIG)
    done = remove(store, Tombstones(frozenset({"video-00001"})))
    record = json.loads((tmp_path / done.record).read_text())
    assert (record["videos"], record["purged"], len(record["date"])) == (["video-00001"], False, 10)
    assert record["keys"] == ["video-00001_00000", "video-00001_00001"]

    again = remove(store, Tombstones(frozenset({"video-00001"})), purge=True)

    for path in (done.record, again.record):
        record = json.loads((tmp_path / path).read_text())
        assert record["videos"] == record["asked"]["videos"] == [hashed("video", "video-00001", record["salt"]).digest]
    for path in [tmp_path / "tombstones.txt", *(tmp_path / "removals").iterdir()]:
        assert b"video-00001" not in path.read_bytes(), path
    assert read_tombstones(store).cover("video-00001", "") and days_of_removal(store, "video-00001")

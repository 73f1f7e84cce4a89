"""A census that is kept beside a run says what a fresh one says."""

from pathlib import Path

from manifests.census import Census
from manifests.reasons import Reason
from pipeline.engine.attempt import reject_row
from pipeline.engine.store import Store
from pipeline.engine.unit import Reject
from pipeline.testing.shards import commit_video


def test_a_census_that_is_kept_says_what_a_fresh_one_says(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    kept = Census(store, by_clip=False)
    for video_id in ("a", "b", "c"):
        store.write_rejects("media", f"no-{video_id}", [reject_row("media", Reject(Reason.TIMEOUT, video_id), 1)])
        store.commit("media", f"no-{video_id}", {})
        if video_id != "a":
            commit_video(store, video_id, n_clips=2)
        kept.again()
        assert kept.in_force().equals(Census(store).in_force())
    assert kept.in_force().column("video_id").to_pylist() == ["a"]

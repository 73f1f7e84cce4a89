"""What a fill knows of closed shards and of rejects, whether it is read at once or added up wave by wave."""

from pathlib import Path

from manifests.census import Census
from manifests.reasons import Reason
from pipeline.engine.attempt import reject_row
from pipeline.engine.store import Store
from pipeline.engine.unit import Reject
from pipeline.run.known import ClosedClips
from pipeline.testing.shards import a_data_set, commit_video


def test_the_clips_of_closed_shards_are_those_that_were_made(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=4, n_clips=3)
    kept = ClosedClips(store).clips()
    videos = kept.video_id.to_pylist()
    numbers = [kept.n[a:b].tolist() for a, b in zip(kept.starts, kept.starts[1:], strict=False)]
    assert dict(zip(videos, numbers, strict=True)) == {
        f"video-{i:05d}": [0, 1] if i % 3 == 2 else [0, 1, 2] for i in range(4)
    }
    assert videos == sorted(videos)


def test_a_run_without_shards_has_kept_nothing(tmp_path: Path) -> None:
    assert not len(ClosedClips(Store(str(tmp_path))).clips().video_id)


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

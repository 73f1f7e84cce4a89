"""What a fill knows of closed shards and of rejects, whether it is read at once or added up batch by batch."""

from pathlib import Path

from hdvila_testing.shards import a_data_set, commit_video, make_shards, select
from pipeline.engine.store.store import Store
from pipeline.shards.closed import ClosedShards, kept_clips, read_entries


def test_the_clips_of_closed_shards_are_those_that_were_made(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=4, n_clips=3)
    kept = kept_clips(ClosedShards().held(store, read_entries(store)))
    videos = kept.video_id.to_pylist()
    numbers = [kept.n[a:b].tolist() for a, b in zip(kept.starts, kept.starts[1:], strict=False)]
    assert dict(zip(videos, numbers, strict=True)) == {
        f"video-{i:05d}": [0, 1] if i % 3 == 2 else [0, 1, 2] for i in range(4)
    }


def test_a_clip_that_came_later_is_kept_with_those_that_its_video_had(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=3, n_clips=3)
    closed = ClosedShards()
    closed.held(store, read_entries(store))
    commit_video(store, "video-00002", n_clips=3, channel_id="UC-video-2")
    select(store)
    make_shards(store)
    for books in (closed, ClosedShards()):
        kept = kept_clips(books.held(store, read_entries(store)))
        assert sorted(kept.video_id.to_pylist()) == [f"video-{i:05d}" for i in range(3)]
        row = kept.video_id.to_pylist().index("video-00002")
        assert kept.n[kept.starts[row] : kept.starts[row + 1]].tolist() == [0, 1, 2]
    first = kept_clips(closed.held(store, [entry for entry in read_entries(store) if entry.generation == 0]))
    assert len(first.n) == 8 and len(kept.n) == 9


def test_a_run_without_shards_has_kept_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert not len(kept_clips(ClosedShards().held(store, read_entries(store))).video_id)

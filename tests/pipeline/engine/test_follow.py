"""A follower gives each unit's rows once, wherever they lie by then."""

from pathlib import Path

from pipeline.engine.follow import Follower
from pipeline.engine.store import Store
from tests.pipeline.engine.merges import fill, merge_all


def ids(follower: Follower) -> list[str]:
    return sorted(name for table in follower.new() for name in table.column("video_id").to_pylist())


def test_rows_come_once_before_and_after_a_merge_and_rejects_with_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    videos, rejects = Follower(store, "videos", ["video_id"]), Follower(store, "rejects", ["video_id", "reason"])
    assert ids(videos) == ids(rejects) == []
    fill(store, ["u1", "u2"])

    assert (ids(videos), ids(rejects)) == (["u1-0", "u1-1", "u2-0", "u2-1"], ["u2-x"])
    merge_all(store)
    assert ids(videos) == ids(rejects) == []
    fill(store, ["u3", "u4", "u5"])
    merge_all(store)
    assert (ids(videos), ids(rejects)) == ([f"u{n}-{i}" for n in (3, 4, 5) for i in (0, 1)], ["u4-x"])
    assert ids(Follower(store, "videos", ["video_id"])) == [f"u{n}-{i}" for n in range(1, 6) for i in (0, 1)]

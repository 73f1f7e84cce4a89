"""What closed shards hold: which clips are theirs, what may still come, and where each video stands."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.requests import count_requests
from hdvila_testing.shards import a_data_set, commit_video, make_shards, select
from manifests.shards import read_manifest
from pipeline.engine.store.store import Store
from pipeline.outdir.remade import forget_alike
from pipeline.shards.clips import PlanClip, PlanVideo, PlanVideos
from pipeline.shards.closed import ClosedShards, Held, among, codes_of, not_held
from pipeline.shards.splits import SPLITS

HELD = Held(
    video_id=pa.array(["a", "b", "c"]),
    channel_id=pa.array(["UCa", "UCb", ""]),
    split=np.array([0, 1, 2], np.int8),
    starts=np.array([0, 2, 3, 4]),
    n=np.array([0, 1, 0, 5], np.int32),
    ms=np.array([4000, -1, -1, 0], np.int32),
)
LATER = Held(
    video_id=pa.array(["a"]),
    channel_id=pa.array(["UCa2"]),
    split=np.array([1], np.int8),
    starts=np.array([0, 1]),
    n=np.array([1], np.int32),
    ms=np.array([2000], np.int32),
)


def names(videos: PlanVideos) -> list[str]:
    return [f"{video.video_id}{clip.n}" for video in videos.rows() for clip in video.clips]


def test_what_failed_before_may_come_as_a_sample_and_nothing_comes_twice() -> None:
    now = PlanVideos.of(
        [
            PlanVideo("a", "UCa", "a", (PlanClip(0, 512), PlanClip(1, 512), PlanClip(2, 0))),
            PlanVideo("b", "UCb", "b", (PlanClip(0, 0),)),
            PlanVideo("new", "", "new", (PlanClip(0, 0), PlanClip(1, 512))),
        ]
    )

    assert names(not_held(now, [HELD])) == ["a1", "a2", "new0", "new1"]
    assert names(not_held(now, [HELD, LATER])) == ["a2", "new0", "new1"]
    assert names(not_held(now, [])) == names(now)
    again = PlanVideos.of([PlanVideo("a", "UCa", "a", (PlanClip(1, 0), PlanClip(3, 0)))])
    assert names(not_held(again, [HELD])) == ["a3"], "what failed again has its row already"


@given(
    st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))), st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)))
)
def test_clips_are_found_by_their_video_and_number(there: set[tuple[int, int]], wanted: set[tuple[int, int]]) -> None:
    def codes(pairs: list[tuple[int, int]]) -> np.ndarray:
        row, n = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
        return codes_of(row, n.astype(np.int32))

    ordered = sorted(there)

    assert among(codes(ordered), codes(list(wanted))).tolist() == [pair in wanted for pair in ordered]


def test_rows_of_shards_are_read_once_and_say_what_their_tars_hold(tmp_path: Path) -> None:
    store = a_data_set(tmp_path, n_videos=3)
    entries = read_manifest(str(tmp_path)).shards
    closed = ClosedShards()

    [(generation, held)] = closed.new(store)

    by_video = {name: i for i, name in enumerate(held.video_id.to_pylist())}
    third = by_video["video-00002"]
    assert held.is_sample()[held.starts[third] : held.starts[third + 1]].tolist() == [True, True, False]
    assert len(held.n) == 9 and set(held.split.tolist()) == {SPLITS.index(e.split) for e in entries}
    assert not list(closed.new(store)), "what is known is not read again"
    commit_video(store, "late-000001", n_clips=2)
    select(store)
    make_shards(store)
    [(later, more)] = closed.new(store)
    assert (generation, later, closed.next_generation, len(more.n)) == (0, 1, 2, 2)
    shards = read_manifest(str(tmp_path)).shards
    assert sorted((split, n) for split, ns in closed.numbers.items() for n in ns) == sorted(
        (shard.split, int(Path(shard.url).stem)) for shard in shards
    )


def all_of(store: Store) -> list[tuple[object, ...]]:
    """What a driver that starts knows of the closed shards."""
    held = ClosedShards().new(store)
    return [tuple(np.asarray(column).tolist() for column in vars_of(one)) for _, one in held]


def vars_of(held: Held) -> tuple[object, ...]:
    return held.video_id, held.channel_id, held.split, held.starts, held.n, held.ms


def kept_files(folder: Path) -> list[Path]:
    return sorted((folder / "alike" / "closed").rglob("*.parquet"))


def two_generations(folder: Path) -> Store:
    store = a_data_set(folder, n_videos=3)
    commit_video(store, "late-000001", n_clips=2)
    select(store)
    make_shards(store)
    return store


def test_a_driver_that_starts_again_reads_a_file_a_generation_and_no_shard(tmp_path: Path) -> None:
    store = two_generations(tmp_path)
    first = all_of(store)
    assert len(first) == 2 == len(kept_files(tmp_path))
    for path in (tmp_path / "shards").rglob("*.parquet"):
        path.unlink()
    with count_requests() as counted:
        assert all_of(store) == first
    assert counted.kinds["cat_file"] <= 2 + 3, "the manifest's files beside those of the generations"


@pytest.mark.parametrize("harm", ["gone", "short", "other"])
def test_what_is_kept_of_shards_is_made_again_where_it_is_no_good(tmp_path: Path, harm: str) -> None:
    store = two_generations(tmp_path)
    first = all_of(store)
    for path in kept_files(tmp_path):
        if harm == "gone":
            path.unlink()
        if harm == "short":
            path.write_bytes(path.read_bytes()[:-7])
        if harm == "other":
            path.rename(path.with_name(f"{'0' * 32}.parquet"))
    assert all_of(store) == first
    assert len(kept_files(tmp_path)) == 2 and all(path.stem != "0" * 32 for path in kept_files(tmp_path))
    forget_alike(store)
    assert not kept_files(tmp_path) and all_of(store) == first

"""What a plan knows of the clips in closed shards, whether it is read at once or added up batch by batch."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from hdvila_testing.shards import a_data_set, commit_video, make_shards, select
from manifests.membership import Ids
from pipeline.balance.clip_lists import ClipLists, clip_lists, empty_clip_lists
from pipeline.config import RunConfig
from pipeline.engine.store.store import Store
from pipeline.run.candidates import Candidates
from pipeline.run.kept_clips import KeptClips
from pipeline.run.known import Known


def kept_by(known: Known, store: Store, n_closed: int | None = None) -> dict[str, list[int]]:
    """The numbers of the clips that are in shards, by video."""
    outcomes = Candidates.read(known, RunConfig(out=store.url)).outcomes(n_closed=n_closed)
    assert outcomes.n_kept is not None
    return {**first_of(outcomes.made, outcomes.n_kept), **numbers(outcomes.already_kept)}


def first_of(lists: ClipLists, counts: np.ndarray) -> dict[str, list[int]]:
    rows = zip(lists.video_id.to_pylist(), lists.starts.tolist(), counts.tolist(), strict=False)
    return {video: lists.n[start : start + count].tolist() for video, start, count in rows if count}


def numbers(lists: ClipLists) -> dict[str, list[int]]:
    return first_of(lists, lists.counts())


def test_the_clips_of_closed_shards_are_those_that_were_made(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=4, n_clips=3)
    kept = kept_by(Known(RunConfig(out=store.url), store), store)
    assert kept == {f"video-{i:05d}": [0, 1] if i % 3 == 2 else [0, 1, 2] for i in range(4)}


def test_a_clip_that_came_later_is_kept_with_those_that_its_video_had(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=3, n_clips=3)
    commit_video(store, "video-00002", n_clips=3, channel_id="UC-video-2")
    known = Known(RunConfig(out=store.url), store)
    assert len(kept_by(known, store)["video-00002"]) == 2
    select(store)
    make_shards(store)
    for each in (known, Known(RunConfig(out=store.url), store)):
        kept = kept_by(each, store)
        assert sorted(kept) == [f"video-{i:05d}" for i in range(3)]
        assert kept["video-00002"] == [0, 1, 2]
        assert sum(map(len, kept_by(each, store, n_closed=1).values())) == 8
        assert sum(map(len, kept.values())) == 9


def test_a_run_without_shards_has_kept_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert kept_by(Known(RunConfig(out=store.url), store), store) == {}


NUMBERS = st.sets(st.integers(0, 6), min_size=1)
VIDEOS = st.dictionaries(st.sampled_from("abcd"), NUMBERS, max_size=4)


def lists_of(videos: dict[str, set[int]]) -> ClipLists:
    rows = [(video, n) for video in sorted(videos) for n in sorted(videos[video])]
    if not rows:
        return empty_clip_lists()
    ids, ns = zip(*rows, strict=True)
    return clip_lists([pa.table({"video_id": ids, "n": ns, "duration_ms": [100 + n for n in ns]})])


@given(VIDEOS, VIDEOS, st.lists(VIDEOS, max_size=4), st.integers(0, 4))
@settings(max_examples=80, deadline=None)
def test_every_clip_of_the_first_generations_is_kept_and_no_other(
    first: dict[str, set[int]], later: dict[str, set[int]], generations: list[dict[str, set[int]]], n_closed: int
) -> None:
    kept, made = KeptClips(), lists_of(first)
    seen: dict[str, set[int]] = {}
    for number, videos in enumerate(generations):
        if number == 2:  # more may be made, after what there was
            rows = made.video_id.to_pylist()
            made = joined(made, lists_of({i: n for i, n in later.items() if i not in rows}))
        fresh = {i: n - seen.get(i, set()) for i, n in videos.items()}
        fresh = {i: n for i, n in fresh.items() if n}
        for i, n in fresh.items():
            seen[i] = seen.get(i, set()) | n
        kept.add(number, lists_of(fresh), made, Ids.of(made.video_id))

    counts, others = kept.of(len(made.video_id), n_closed)

    expected: dict[str, set[int]] = {}
    done: dict[str, set[int]] = {}
    for number, videos in enumerate(generations):
        for i, n in videos.items():
            if number < n_closed:
                expected[i] = expected.get(i, set()) | (n - done.get(i, set()))
            done[i] = done.get(i, set()) | n
    found = {**first_of(made, counts), **numbers(others)}
    assert {i: set(n) for i, n in found.items()} == expected
    assert set(first_of(made, counts)).isdisjoint(numbers(others))
    assert all(others.ms[k] == 100 + others.n[k] for k in range(len(others.n)))


def joined(a: ClipLists, b: ClipLists) -> ClipLists:
    ids = pa.concat_arrays([a.video_id, b.video_id])
    starts = np.append(a.starts, b.starts[1:] + a.starts[-1])
    return ClipLists(ids, starts, np.append(a.n, b.n), np.append(a.ms, b.ms))

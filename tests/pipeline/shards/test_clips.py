"""The columns of a plan say what its objects say, also where several are put together."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards.clips import OpenVideos, PlanClip, PlanVideo, PlanVideos, joined_videos

VIDEOS = (
    PlanVideo("a", "UCa", "a", (PlanClip(0, 700), PlanClip(1, 0))),
    PlanVideo("b", "", "a"),
    PlanVideo("c", "UCc", "c", (PlanClip(4, 512),)),
)


@pytest.mark.parametrize("edges", [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3), (0, 0, 3)], ids=str)
def test_parts_of_a_plan_are_joined_to_the_whole_in_their_order(edges: tuple[int, ...]) -> None:
    parts = [PlanVideos.of(VIDEOS[a:b]) for a, b in pairwise(edges)]

    assert joined_videos(parts).rows() == VIDEOS


@pytest.mark.parametrize(("first", "end"), [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (0, 3), (1, 1)])
def test_a_stretch_of_clips_is_cut_out_with_its_videos(first: int, end: int) -> None:
    whole = PlanVideos.of(VIDEOS)
    clips = [(video.video_id, clip) for video in VIDEOS for clip in video.clips]

    part = whole.between(first, end).rows()

    assert [(video.video_id, clip) for video in part for clip in video.clips] == clips[first:end]
    assert all(video.clips for video in part)


NUMBERS = st.sets(st.integers(0, 5), max_size=4)
STEPS = st.lists(st.one_of(st.none(), st.dictionaries(st.sampled_from("abcdef"), NUMBERS, min_size=1, max_size=3)))


@given(STEPS)
def test_open_videos_are_those_that_came_without_what_was_taken_out(steps: list[dict[str, set[int]] | None]) -> None:
    videos, expected = OpenVideos(), dict[str, dict[int, int]]()
    for number, step in enumerate(steps):
        if step is None:  # a look in between
            assert clips_of(videos.all()) == {i: clips for i, clips in expected.items() if clips}
            continue
        new = {i: {n: 100 * number + n for n in sorted(numbers)} for i, numbers in step.items() if i not in expected}
        clips = [
            PlanVideo(i, f"UC{i}", i, tuple(PlanClip(*clip) for clip in of_one.items())) for i, of_one in new.items()
        ]
        videos.add(PlanVideos.of(clips))
        gone = {i: numbers for i, numbers in step.items() if i not in new}
        expected |= new

        def left_of(some: PlanVideos, gone: dict[str, set[int]] = gone) -> PlanVideos:
            owners = [some.video_id[i].as_py() for i in some.owners().tolist()]
            stays = [n not in gone[i] for i, n in zip(owners, some.n.tolist(), strict=True)]
            return some.only(np.array(stays, np.bool_))

        videos.replace(pa.array([*gone, "unknown"], pa.string()), left_of)
        for i, numbers in gone.items():
            expected[i] = {n: size for n, size in expected[i].items() if n not in numbers}
    whole = videos.all()
    assert clips_of(whole) == {i: clips for i, clips in expected.items() if clips}
    assert [video.channel_id for video in whole.rows()] == [f"UC{video.video_id}" for video in whole.rows()]


def clips_of(videos: PlanVideos) -> dict[str, dict[int, int]]:
    return {video.video_id: {clip.n: clip.bytes_ for clip in video.clips} for video in videos.rows() if video.clips}

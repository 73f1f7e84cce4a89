"""The columns of a plan say what its objects say, also where several are put together."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.shards.clips import PlanClip, PlanVideo, PlanVideos, joined_videos

VIDEOS = (
    PlanVideo("a", "UCa", "a", (PlanClip(0, 700), PlanClip(1, 0))),
    PlanVideo("b", "", "a"),
    PlanVideo("c", "UCc", "c", (PlanClip(4, 512),)),
)


@pytest.mark.parametrize("edges", [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3), (0, 0, 3)], ids=str)
def test_parts_of_a_plan_are_joined_to_the_whole_in_their_order(edges: tuple[int, ...]) -> None:
    parts = [PlanVideos.of(VIDEOS[a:b]) for a, b in pairwise(edges)]

    assert joined_videos(parts).rows() == VIDEOS


def test_no_parts_are_an_empty_plan() -> None:
    assert joined_videos([]).rows() == ()


@pytest.mark.parametrize(("first", "end"), [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (0, 3), (1, 1)])
def test_a_stretch_of_clips_is_cut_out_with_its_videos(first: int, end: int) -> None:
    whole = PlanVideos.of(VIDEOS)
    clips = [(video.video_id, clip) for video in VIDEOS for clip in video.clips]

    part = whole.between(first, end).rows()

    assert [(video.video_id, clip) for video in part for clip in video.clips] == clips[first:end]
    assert all(video.clips for video in part)


def test_videos_are_counted_taken_and_thinned_with_their_clips() -> None:
    whole = PlanVideos.of(VIDEOS)

    assert len(whole) == 3
    assert (whole.counts().tolist(), whole.n_samples().tolist()) == ([2, 0, 1], [1, 0, 1])
    assert (whole.owners().tolist(), whole.sums(whole.bytes_).tolist()) == ([0, 0, 2], [700, 0, 512])
    assert whole.take(np.array([2, 0])).rows() == (VIDEOS[2], VIDEOS[0])
    assert whole.only(whole.is_sample()).rows() == (replace(VIDEOS[0], clips=VIDEOS[0].clips[:1]), VIDEOS[2])


def test_a_clip_that_was_made_has_a_byte_at_least() -> None:
    clips = tuple(PlanClip(n, size) for n, size in enumerate((0, 1, 512)))

    assert [clip.is_sample for clip in clips] == [False, True, True]
    assert PlanVideos.of([PlanVideo("a", "", "a", clips)]).is_sample().tolist() == [False, True, True]

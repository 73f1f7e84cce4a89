"""The columns of a plan say what its objects say, also where several are put together."""

from itertools import pairwise

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

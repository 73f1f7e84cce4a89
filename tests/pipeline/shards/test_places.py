"""Where the videos of closed shards are: the split of each, and of each channel."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.shards import SplitConfig
from pipeline.shards import places as module
from pipeline.shards.clips import PlanClip, PlanVideo, PlanVideos
from pipeline.shards.places import Places
from pipeline.shards.splits import Placed, draw_splits

Videos = dict[str, tuple[str, int]]
"""(channel, split) by video."""


def add(places: Places, videos: Videos) -> None:
    channels = pa.array([channel for channel, _ in videos.values()], pa.string())
    places.add(
        pa.array(list(videos), pa.string()), channels, np.array([split for _, split in videos.values()], np.int8)
    )


def test_a_video_that_is_asked_for_and_the_first_of_each_channel_and_split_are_told() -> None:
    places = Places()
    add(places, {"c": ("x", 0), "b": ("x", 0), "e": ("x", 1)})
    add(places, {"d": ("", 2), "c": ("y", 1)})

    found = {row["video_id"]: (row["channel_id"], row["split"]) for row in places.of(pa.array(["c", "z"])).to_pylist()}

    assert found == {"c": ("y", 1), "b": ("x", 0), "e": ("x", 1), "d": ("", 2)}


NAMES = st.sampled_from([f"v{i}" for i in range(12)])
VIDEOS = st.dictionaries(NAMES, st.tuples(st.sampled_from(["", "x", "y", "z"]), st.integers(0, 2)), max_size=8)


@given(
    st.lists(VIDEOS, max_size=3),
    VIDEOS,
    st.dictionaries(NAMES, NAMES, max_size=4),
    st.sampled_from(["channel", "video"]),
)
@settings(max_examples=80, deadline=None)
def test_videos_are_split_as_if_every_closed_video_were_told(
    generations: list[Videos], new: Videos, groups: dict[str, str], by: str
) -> None:
    channel_of = {name: channel for videos in (*generations, new) for name, (channel, _) in videos.items()}
    generations = [{i: (channel_of[i], split) for i, (_, split) in videos.items()} for videos in generations]
    groups = {name: min(name, group) for name, group in groups.items()}
    places, split_of = Places(), {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "MOST_WAITING", 3)
        for videos in generations:
            for name in videos:  # a video stays in its split
                videos[name] = (videos[name][0], split_of.setdefault(name, videos[name][1]))
            add(places, videos)
    planned = PlanVideos.of(
        PlanVideo(name, channel_of[name], groups.get(name, name), (PlanClip(0, 9),)) for name in sorted(new)
    )
    linked = [i for name, group in groups.items() if name != group for i in (name, group)]
    found = places.of(pa.array(sorted({*new, *linked}), pa.string()))

    def split(ids: list[str], channels: list[str], codes: list[int]) -> list[int]:
        texts = (pa.array(column, pa.string()) for column in (ids, channels, [groups.get(i, i) for i in ids]))
        placed = Placed(*texts, np.array(codes, np.int8))
        return draw_splits(planned, placed, SplitConfig(by=by), seed=1).tolist()

    every = sorted(split_of)
    whole = split(every, [channel_of[i] for i in every], [split_of[i] for i in every])
    assert split(*(found.column(name).to_pylist() for name in found.column_names)) == whole

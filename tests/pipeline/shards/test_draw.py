"""The draw within categories: every category with two channels on both sides, in its share, however the set grows."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.shards import SplitConfig
from pipeline.shards.clips import PlanClip, PlanVideo
from pipeline.shards.draw import SPLITS
from pipeline.shards.splits import Placed
from tests.pipeline.shards.drawn_splits import drawn, placed


def video(video_id: str, channel_id: str, n_samples: int = 1, category_id: int = 1) -> PlanVideo:
    clips = tuple(PlanClip(n, 512) for n in range(n_samples))
    return PlanVideo(video_id, channel_id, video_id, clips, category_id)


CHANNELS = st.lists(
    st.tuples(st.integers(1, 3), st.lists(st.integers(1, 30), min_size=1, max_size=4)),
    min_size=1,
    max_size=24,
)


def grown(batches: list[list[PlanVideo]], config: SplitConfig, seed: int) -> dict[str, str]:
    """The splits after all batches, each closed before the next comes."""
    shards: list[tuple[PlanVideo, str]] = []
    for batch in batches:
        splits = drawn(batch, placed(*shards), config, seed)
        shards += [(one, splits[one.video_id]) for one in batch]
        assert drawn([one for one, _ in shards], placed(*shards), config, seed) == {
            one.video_id: split for one, split in shards
        }, "nothing moves"
    return {one.video_id: split for one, split in shards}


@given(
    channels=CHANNELS,
    n_batches=st.integers(1, 6),
    shares=st.sampled_from([(0.02, 0.0), (0.1, 0.1), (0.3, 0.2)]),
    by=st.sampled_from(["channel", "video"]),
    seed=st.integers(0, 5),
)
@settings(max_examples=80, deadline=None)
def test_each_category_of_two_channels_is_trained_on_and_held_out_with_its_share_in_one_batch_or_in_many(
    channels: list[tuple[int, list[int]]], n_batches: int, shares: tuple[float, float], by: str, seed: int
) -> None:
    config = SplitConfig(by=by, val=shares[0], test=shares[1])
    videos = [
        video(f"v{i}.{k}", f"UC{i}", n_samples=n, category_id=category)
        for i, (category, sizes_of_one) in enumerate(channels)
        for k, n in enumerate(sizes_of_one)
    ]
    batches = [[one for one in videos if int(one.channel_id[2:]) % n_batches == i] for i in range(n_batches)]
    splits = grown([batch for batch in batches if batch], config, seed)

    for category in {one.category_id for one in videos}:
        sizes, amounts = Counter[str](), Counter[str]()
        for one in (one for one in videos if one.category_id == category):
            sizes[one.channel_id if by == "channel" else one.video_id] += len(one.clips)
            amounts[splits[one.video_id]] += len(one.clips)
        wanted = [name for name in SPLITS if name == "train" or getattr(config, name)][: len(sizes)]
        if len(sizes) > 1:
            assert set(wanted) <= set(amounts), "a split lacks the category"
        whole = sum(amounts.values())
        for name in ("val", "test"):
            assert abs(amounts[name] - getattr(config, name) * whole) <= max(0.02 * whole, *sizes.values())


@given(
    channels=st.lists(
        st.dictionaries(st.integers(1, 4), st.integers(1, 9), min_size=1, max_size=3), min_size=2, max_size=8
    ),
    seed=st.integers(0, 9),
)
@settings(max_examples=80, deadline=None)
def test_channels_of_several_categories_are_divided_so_that_all_are_on_both_sides_where_the_others_allow_it(
    channels: list[dict[int, int]], seed: int
) -> None:
    """Each category has a channel of its own beside those that it shares."""
    channels = [*channels, *({category: 5} for category in {i for of_one in channels for i in of_one})]
    videos = [
        video(f"v{i}.{category}", f"UC{i}", n_samples=n, category_id=category)
        for i, of_one in enumerate(channels)
        for category, n in of_one.items()
    ]
    splits = drawn(videos, Placed(), SplitConfig(val=0.1), seed)

    for i in range(len(channels)):
        assert len({splits[one.video_id] for one in videos if one.channel_id == f"UC{i}"}) == 1
    for category in {one.category_id for one in videos}:
        assert {splits[one.video_id] for one in videos if one.category_id == category} == {"train", "val"}


def test_the_largest_channel_is_trained_on_whatever_the_seed() -> None:
    sizes = {"large": 90, "a": 5, "b": 4}
    held_out = {
        name
        for seed in range(20)
        for name, split in drawn(
            [video(i, i, n_samples=n) for i, n in sizes.items()], Placed(), SplitConfig(), seed
        ).items()
        if split == "val"
    }

    assert held_out == {"a", "b"}


def test_the_second_channel_of_a_category_is_held_out_though_it_comes_later_and_the_third_is_trained_on() -> None:
    there = placed((video("a", "UCa"), "train"), (video("x", "UCx", category_id=10), "val"))
    assert drawn([video("b", "UCb"), video("c", "UCc")], there, SplitConfig()) in (
        {"b": "val", "c": "train"},
        {"b": "train", "c": "val"},
    )
    assert drawn([video("y", "UCy", category_id=10)], there, SplitConfig()) == {"y": "train"}

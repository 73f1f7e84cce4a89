"""The plan of shards: each sample once, no gap, none too large, channels and repeats on one side."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.shards.plan import Placed, PlanClip, PlanVideo, draw_splits, plan_shards

VIDEOS = st.lists(
    st.builds(
        PlanVideo,
        st.integers(0, 40).map(lambda i: f"video{i}"),
        st.sampled_from(["", "UCa", "UCb", "UCc", "UCd", "UCe"]),
        st.sampled_from(["g0", "g1", "g2", "g3"]),
        st.lists(
            st.builds(PlanClip, st.integers(0, 99), st.sampled_from([0, 512, 7000])),
            max_size=5,
            unique_by=lambda c: c.n,
        ).map(tuple),
    ),
    max_size=25,
    unique_by=lambda video: video.video_id,
)
SIZES = st.builds(
    ShardsConfig,
    max_bytes=st.integers(1, 50_000),
    max_samples=st.integers(0, 6),
    split=st.builds(
        SplitConfig, by=st.sampled_from(["channel", "video"]), val=st.floats(0, 0.4), test=st.floats(0, 0.4)
    ),
)


@given(videos=VIDEOS, config=SIZES, seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_each_sample_is_planned_once_and_the_order_of_videos_does_not_count(videos, config, seed, order):
    plan = plan_shards(videos, Placed(), config, seed=seed, generation=0)
    placed = Counter((v.video_id, c.n) for shard in plan for v in shard.videos for c in v.clips if c.is_sample)
    assert placed == Counter((v.video_id, c.n) for v in videos for c in v.clips if c.is_sample)
    order.shuffle(videos)
    assert plan_shards(videos, Placed(), config, seed=seed, generation=0) == plan


@given(videos=VIDEOS, config=SIZES)
@settings(max_examples=60, deadline=None)
def test_numbers_have_no_gap_no_shard_is_empty_and_none_exceeds_its_size_by_more_than_a_clip(videos, config):
    plan = plan_shards(videos, Placed(), config, seed=0, generation=0)
    for split in {shard.split for shard in plan}:
        assert [s.number for s in plan if s.split == split] == list(range(sum(s.split == split for s in plan)))
    for shard in plan:
        sizes = [c.bytes_ for v in shard.videos for c in v.clips if c.is_sample]
        assert sizes
        assert sum(sizes) < config.max_bytes + 2 * max(sizes) or (
            config.max_samples and len(sizes) <= config.max_samples + 1
        )


@given(videos=VIDEOS, seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_channels_and_duplicates_stay_on_one_side(videos, seed):
    splits = draw_splits(videos, Placed(), SplitConfig(by="channel", val=0.3, test=0.3), seed=seed)
    for name in ("channel_id", "group"):
        for value in {getattr(v, name) for v in videos} - {""}:
            assert len({splits[v.video_id] for v in videos if getattr(v, name) == value}) == 1


def _video(i: int, **changes) -> PlanVideo:
    return replace(PlanVideo(f"v{i}", f"UC{i}", f"v{i}", (PlanClip(0, 512),)), **changes)


def test_a_channels_split_depends_on_the_seed_and_the_channel_not_on_what_else_was_found():
    config = SplitConfig(val=0.3)
    few, many = [_video(i) for i in range(30)], [_video(i) for i in range(200)]
    drawn = draw_splits(few, Placed(), config, seed=3)
    assert drawn == {i: s for i, s in draw_splits(many, Placed(), config, seed=3).items() if i in drawn}
    assert drawn != draw_splits(few, Placed(), config, seed=4)
    share = Counter(draw_splits(many, Placed(), config, seed=3).values())["val"] / 200
    assert 0.2 < share < 0.4


def test_a_new_video_goes_where_its_channel_is_and_a_duplicate_where_the_first_one_is():
    old = {"v1": "val", "v2": "train"}
    placed = Placed(old, {i: _video(int(i[1:]), clips=()) for i in old})
    of_channel, duplicate = _video(3, channel_id="UC1"), _video(4, group="v1")
    both = _video(5, channel_id="UC2", group="v1")
    config = SplitConfig(val=0.001)
    assert draw_splits([of_channel, duplicate], placed, config, seed=0) == {"v3": "val", "v4": "val"}
    assert draw_splits([both], placed, config, seed=0) == {"v5": "val"}


def test_a_small_data_set_still_has_something_held_out_and_something_to_train_on():
    for seed in range(20):
        splits = draw_splits([_video(i) for i in range(4)], Placed(), SplitConfig(val=0.01), seed=seed)
        assert Counter(splits.values()) == {"train": 3, "val": 1}
    assert set(draw_splits([_video(0)], Placed(), SplitConfig(val=0.01), seed=0).values()) == {"train"}


def test_any_few_shards_mix_the_categories():
    videos = [_video(i, clips=tuple(PlanClip(n, 1000) for n in range(3))) for i in range(150)]
    category = {f"v{i}": i // 10 for i in range(150)}  # ids that come in runs of one category
    plan = plan_shards(videos, Placed(), ShardsConfig(max_samples=30, split=SplitConfig(val=0)), seed=0, generation=0)
    assert len(plan) == 15
    assert min(len({category[v.video_id] for v in shard.videos}) for shard in plan) >= 6

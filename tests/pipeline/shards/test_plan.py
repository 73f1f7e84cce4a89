"""The plan of shards: each sample once, no gap, none too large, channels and repeats on one side."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.shards.clips import PlanClip, PlanVideo, PlanVideos
from pipeline.shards.draw import SPLITS
from pipeline.shards.plan import PlannedShard, plan_shards
from pipeline.shards.splits import Placed, draw_splits

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


def _planned(videos, config, *, seed=0) -> list[PlannedShard]:
    return plan_shards(PlanVideos.of(videos), Placed(), config, seed=seed, generation=0)


def _drawn(videos, config, *, seed, placed=None) -> dict[str, str]:
    codes = draw_splits(PlanVideos.of(videos), placed or Placed(), config, seed=seed)
    return {video.video_id: SPLITS[code] for video, code in zip(videos, codes.tolist(), strict=True)}


@given(videos=VIDEOS, config=SIZES, seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_each_sample_is_planned_once_and_the_order_of_videos_does_not_count(videos, config, seed, order):
    plan = _planned(videos, config, seed=seed)
    placed = Counter((v.video_id, c.n) for shard in plan for v in shard.videos for c in v.clips if c.is_sample)
    assert placed == Counter((v.video_id, c.n) for v in videos for c in v.clips if c.is_sample)
    order.shuffle(videos)
    again = _planned(videos, config, seed=seed)
    assert [(shard.name, shard.videos) for shard in again] == [(shard.name, shard.videos) for shard in plan]


@given(videos=VIDEOS, config=SIZES)
@settings(max_examples=60, deadline=None)
def test_numbers_have_no_gap_no_shard_is_empty_and_none_exceeds_its_size_by_more_than_a_clip(videos, config):
    plan = _planned(videos, config)
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
    splits = _drawn(videos, SplitConfig(by="channel", val=0.3, test=0.3), seed=seed)
    for name in ("channel_id", "group"):
        for value in {getattr(v, name) for v in videos} - {""}:
            assert len({splits[v.video_id] for v in videos if getattr(v, name) == value}) == 1


def _video(i: int, **changes) -> PlanVideo:
    return replace(PlanVideo(f"v{i}", f"UC{i}", f"v{i}", (PlanClip(0, 512),)), **changes)


def test_a_small_data_set_still_has_something_held_out_and_something_to_train_on():
    for seed in range(20):
        splits = _drawn([_video(i) for i in range(4)], SplitConfig(val=0.01), seed=seed)
        assert Counter(splits.values()) == {"train": 3, "val": 1}
    assert set(_drawn([_video(0)], SplitConfig(val=0.01), seed=0).values()) == {"train"}


def test_any_few_shards_mix_the_categories():
    videos = [_video(i, clips=tuple(PlanClip(n, 1000) for n in range(3))) for i in range(150)]
    category = {f"v{i}": i // 10 for i in range(150)}  # ids that come in runs of one category
    plan = _planned(videos, ShardsConfig(max_samples=30, split=SplitConfig(val=0)))
    assert len(plan) == 15
    assert min(len({category[v.video_id] for v in shard.videos}) for shard in plan) >= 6


def _full(videos, config) -> list[PlannedShard]:
    return plan_shards(PlanVideos.of(videos), Placed(), config, seed=0, generation=0, only_full=True)


def test_while_more_is_to_come_only_whole_shards_are_closed_and_the_rest_waits():
    """Ten videos of 1,000 bytes in two samples, shards of four videos: by bytes, by samples, by what is full first."""
    videos = [_video(i, clips=(PlanClip(0, 500), PlanClip(1, 500))) for i in range(10)]
    split = SplitConfig(val=0)
    for config in (
        ShardsConfig(max_bytes=4000, max_samples=0, split=split),
        ShardsConfig(max_bytes=10**9, max_samples=8, split=split),
        ShardsConfig(max_bytes=4000, max_samples=10**6, split=split),
    ):
        assert [sum(len(v.clips) for v in shard.videos) for shard in _full(videos, config)] == [8, 8]
        assert _full(videos[:3], config) == [], "three are no whole shard"
        assert [len(shard.videos) for shard in _full(videos[:4], config)] == [4], "four are just one"


def test_a_held_out_split_without_a_shard_gets_one_of_what_there_is():
    videos = [_video(i) for i in range(40)]
    config = ShardsConfig(max_samples=20, split=SplitConfig(val=0.2))

    plan = _full(videos, config)

    assert {shard.split for shard in plan} == {"train", "val"}
    assert [len(shard.videos) for shard in plan if shard.split == "train"] == [20]
    assert 0 < sum(len(shard.videos) for shard in plan if shard.split == "val") < 20


def test_a_shards_unit_keeps_its_name_from_version_to_version_and_has_another_for_other_content():
    """A run that goes on in a newer version would make a shard of another name a second time."""
    videos = PlanVideos.of([PlanVideo("a", "UCa", "a", (PlanClip(0, 700), PlanClip(1, 0)))])
    shard = PlannedShard("train", 3, 1, videos)

    assert (shard.stem, shard.name) == ("shards/train/00003", "train-00003-815093770bbfc302")
    other = PlanVideos.of([PlanVideo("a", "UCa", "a", (PlanClip(0, 701), PlanClip(1, 0)))])
    assert len({shard.name, replace(shard, generation=2).name, replace(shard, content=other).name}) == 3


def test_a_shard_has_at_most_as_many_bytes_and_as_many_samples_as_asked_for_whichever_binds():
    videos = [_video(i, clips=(PlanClip(0, 1000),)) for i in range(40)]
    split = SplitConfig(val=0)
    for max_bytes, max_samples, sizes in ((10_000, 0, [10] * 4), (10_000, 5, [5] * 8), (4000, 20, [4] * 10)):
        plan = _planned(videos, ShardsConfig(max_bytes=max_bytes, max_samples=max_samples, split=split))
        assert [len(shard.videos) for shard in plan] == sizes


def test_shards_are_about_equal_by_what_binds_bytes_or_samples():
    """Forty samples, each third one a hundred times as large as the others."""
    videos = [_video(i, clips=(PlanClip(0, 100_000 if i % 3 == 0 else 1000),)) for i in range(40)]
    total, split = 14 * 100_000 + 26 * 1000, SplitConfig(val=0)

    by_bytes = _planned(videos, ShardsConfig(max_bytes=250_000, max_samples=0, split=split))
    by_count = _planned(videos, ShardsConfig(max_bytes=10**9, max_samples=4, split=split))

    sizes = [sum(c.bytes_ for v in shard.videos for c in v.clips) for shard in by_bytes]
    assert len(sizes) == 6 and all(abs(size - total / 6) <= 100_000 for size in sizes)
    assert [len(shard.videos) for shard in by_count] == [4] * 10

"""Splits: what belongs together stays together, also where committed shards contradict each other."""

import pytest

from manifests.categories import UNCATEGORISED_ID
from pipeline.config.shards import SplitConfig
from pipeline.shards.clips import PlanClip, PlanVideo, PlanVideos
from pipeline.shards.draw import SPLITS
from pipeline.shards.splits import Placed, draw_splits
from tests.pipeline.shards.drawn_splits import HELD_OUT, drawn, placed


def video(
    video_id: str, channel_id: str = "", group: str = "", n_samples: int = 1, category_id: int = UNCATEGORISED_ID
) -> PlanVideo:
    clips = tuple(PlanClip(n, 512) for n in range(n_samples))
    return PlanVideo(video_id, channel_id, group or video_id, clips, category_id)


@pytest.mark.parametrize("split", SPLITS)
def test_a_new_video_follows_its_channel_and_its_duplicates_into_any_split(split: str) -> None:
    there = placed((video("a", "UCa", "g"), split))

    assert drawn([video("b", "UCa"), video("c", "UCc", "g"), video("d", "UCc")], there) == dict.fromkeys("bcd", split)


def test_by_video_channels_part_and_duplicates_stay_together() -> None:
    config = HELD_OUT.model_copy(update={"by": "video"})
    many = [video(f"v{i}", "UCa", f"g{i // 2}") for i in range(200)]
    splits = drawn(many, Placed(), config)

    assert set(splits.values()) == set(SPLITS), "one channel is in all"
    assert all(splits[f"v{i}"] == splits[f"v{i + 1}"] for i in range(0, 200, 2))


def test_videos_without_a_channel_have_none_in_common() -> None:
    splits = drawn([video(f"v{i}") for i in range(100)], Placed())

    assert set(splits.values()) == set(SPLITS)


def test_where_shards_hold_a_component_in_two_splits_duplicates_count_before_the_channel_and_ids_in_order() -> None:
    there = placed(
        (video("p", "UCa", "g1"), "train"),
        (video("q", "UCa", "g2"), "val"),
        (video("b", "UCb", "g3"), "test"),
        (video("a", "UCb", "g3"), "val"),
        (video("y", "UCc", "g4"), "val"),
        (video("z", "UCd", "g4"), "train"),
    )

    found = drawn(
        [
            video("new-1", "UCa", "g2"),
            video("new-2", "UCa", "other"),
            video("new-3", "UCe", "g3"),
            video("new-4", "UCd", "g5"),
            video("new-5", "UCf", "g5"),
        ],
        there,
    )

    assert found["new-1"] == "val", "its duplicate q is there"
    assert found["new-2"] == "train", "no duplicate: the first video of its channel, p"
    assert found["new-3"] == "val", "of two duplicates the first by id, a"
    assert found["new-4"] == "train", "of its channel: z"
    assert found["new-5"] == "train", "only connected through others: the first split by name that holds some of them"


def test_a_video_in_shards_stays_though_its_duplicate_in_another_split_comes_first_by_id() -> None:
    there = placed((video("z", "UCa", "g"), "train"), (video("a", "UCa", "g"), "val"), (video("m", "UCa", "g"), "test"))

    assert drawn([video("m", "UCa", "g"), video("z", "UCa", "g")], there) == {"m": "test", "z": "train"}


def test_an_empty_held_out_split_gets_a_component_of_at_most_half_of_all_samples() -> None:
    videos = [
        video("large", n_samples=5),
        video("small", n_samples=3),
        video("tiny", n_samples=2),
        video("none", "", "", 0),
    ]
    config = SplitConfig(val=1e-9, test=0)
    held_out = set()
    for seed in range(8):
        (name,) = (name for name, split in drawn(videos, Placed(), config, seed).items() if split == "val")
        held_out.add(name)
    assert "large" in held_out and held_out <= {"large", "small", "tiny"}, "five of ten are at most half"
    assert set(drawn([video("a", n_samples=3), video("b", n_samples=0)], Placed(), config).values()) == {"train"}


def test_nothing_asked_for_is_nothing_held_out() -> None:
    assert set(drawn([video(f"v{i}") for i in range(50)], Placed(), SplitConfig(val=0, test=0)).values()) == {"train"}
    assert draw_splits(PlanVideos.of([]), Placed(), HELD_OUT, seed=0).tolist() == []

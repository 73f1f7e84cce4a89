"""What a plan of shards is made from: what packs hold, less what shards hold and what is left out or removed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hdvila_testing.shards import a_data_set, commit_video, make_shards, select
from manifests.errors import UserError
from manifests.membership import Ids
from manifests.schema import TABLES
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.books import PACK_COLUMNS, Chosen, ShardBooks, open_clips, read_chosen
from pipeline.shards.clips import PlanClip, PlanVideo, PlanVideos

MADE = PlanVideos.of(
    [
        PlanVideo("a", "UCa", "a", (PlanClip(0, 700), PlanClip(1, 0), PlanClip(2, 900))),
        PlanVideo("b", "UCb", "b", (PlanClip(0, 512),)),
        PlanVideo("c", "", "c", (PlanClip(0, 512), PlanClip(3, 512))),
    ]
)
URLS = {"c": "https://vimeo.com/5", "a": "https://www.youtube.com/watch?v=a"}
ALL = Chosen(
    Ids.of(MADE.video_id), pa.array(["g", "", "g"]), np.array([0, 2, 3, 5]), np.array([0, 2, 0, 0, 3], np.int32)
)


def names(videos: PlanVideos) -> list[str]:
    return [f"{video.video_id}{clip.n}" for video in videos.rows() for clip in video.clips]


NONE = Tombstones()


def left(tombstones: Tombstones = NONE, but: tuple[str, ...] = (), chosen: Chosen = ALL) -> PlanVideos:
    return open_clips(MADE, chosen, tombstones, lambda ids: [URLS.get(name, "") for name in ids.to_pylist()], but)


def test_what_was_tried_and_failed_is_open_beside_what_the_selection_keeps() -> None:
    assert names(left()) == ["a0", "a1", "a2", "b0", "c0", "c3"]
    fewer = Chosen(Ids.of(pa.array(["a", "c"])), pa.array(["", ""]), np.array([0, 1, 2]), np.array([2, 3], np.int32))
    assert names(left(chosen=fewer)) == ["a1", "a2", "c3"]


def test_a_video_has_the_group_of_its_duplicates_or_itself() -> None:
    assert [(video.video_id, video.group) for video in left().rows()] == [("a", "g"), ("b", "b"), ("c", "g")]
    unknown = Chosen(Ids.of(pa.array(["b"])), pa.array(["g"]), np.array([0, 1]), np.array([0], np.int32))
    assert unknown.groups_of(pa.array(["a", "b"])).to_pylist() == ["a", "g"]


@pytest.mark.parametrize(
    ("tombstones", "stays"),
    [
        (Tombstones(videos=frozenset({"a"})), ["b0", "c0", "c3"]),
        (Tombstones(channels=frozenset({"UCb"})), ["a0", "a1", "a2", "c0", "c3"]),
        (Tombstones(urls=frozenset({"https://vimeo.com/5"})), ["a0", "a1", "a2", "b0"]),
    ],
    ids=["video", "channel", "url"],
)
def test_what_is_removed_stays_out_by_its_id_its_channel_or_its_address(
    tombstones: Tombstones, stays: list[str]
) -> None:
    assert names(left(tombstones)) == stays


def test_videos_may_be_left_out_by_name() -> None:
    assert names(left(but=("c", "b", "unknown"))) == ["a0", "a1", "a2"]


def test_the_selection_is_read_with_what_it_keeps_of_each_video(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("v1", "v2", "v3"):
        commit_video(store, name, n_clips=3)
    ids = pa.array(["v1", "v2", "v3"])
    with pytest.raises(UserError, match="run the balance first"):
        read_chosen(store, ids)
    select(store, {"v1": [0, 2], "v3": [1]})

    chosen = read_chosen(store, ids)
    books = ShardBooks()
    books.update(store)
    made = books.open()

    assert names(made.only(chosen.keeps(made))) == ["v10", "v12", "v31"]
    fewer = read_chosen(store, ids.slice(2))
    assert names(made.only(fewer.keeps(made))) == ["v31"], "of videos that are not asked for, no clip is read"


def test_what_closed_shards_hold_is_not_open_any_more(tmp_path: Path) -> None:
    store = a_data_set(tmp_path, n_videos=3)
    commit_video(store, "late-000001", n_clips=2)
    books, late = ShardBooks(), ["late-0000010", "late-0000011"]
    books.update(store)
    assert names(books.open()) == late
    select(store)
    make_shards(store)
    commit_video(store, "late-000002", n_clips=1)
    for again in (books, ShardBooks()):
        again.update(store)
        assert names(again.open()) == ["late-0000020"]


def test_samples_of_several_gigabytes_are_added_up() -> None:
    def packs(video_id: str, size: int) -> pa.Table:
        row = {"video_id": video_id, "channel_id": "c", "category_id": 1, "n": 0, "status": "success", "reason": ""}
        row["pack_bytes"] = size
        return pa.Table.from_pylist([row], pa.schema([TABLES["packs"].field(name) for name in PACK_COLUMNS]))

    books = ShardBooks()
    for video_id, size in (("a", 9), ("b", 2**31 - 1)):
        books.add(packs(video_id, size))
    made = books.open()
    assert made.bytes_.tolist() == [9, 2**31 - 1]
    assert made.sums(made.bytes_).tolist() == [9, 2**31 - 1] and int(made.bytes_.sum()) == 2**31 + 8
    books.add(packs("large", 3 * 2**30))
    assert books.open().bytes_.tolist() == [9, 2**31 - 1, 3 * 2**30]

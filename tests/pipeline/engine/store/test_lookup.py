"""One video's rows are found in segments and parts by a few requests, and are the rows that a whole read gives."""

from pathlib import Path

import pytest

from hdvila_testing.requests import count_requests
from hdvila_testing.rows import a_video_row
from manifests.schema import TABLES, table_of
from pipeline.engine.store.lookup import (
    LOOSE,
    ids_of_unit,
    write_loose,
)
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.id_files import merge_ids
from tests.pipeline.engine.merges import fill, make, merge_all

COLUMNS = {
    "videos": ["video_id", "title"],
    "clips": ["video_id", "clip_id", "text"],
    "packs": ["video_id"],
    "rejects": ["video_id", "reason"],
}


def by_whole_reads(store: Store, video_id: str) -> dict[str, list[dict[str, object]]]:
    tables = {name: store.read_rejects() if name == "rejects" else store.read_table(name) for name in COLUMNS}
    return {
        name: [row for row in table.select(COLUMNS[name]).to_pylist() if row["video_id"] == video_id]
        for name, table in tables.items()
    }


def by_id(store: Store, video_id: str) -> dict[str, list[dict[str, object]]]:
    return {name: table.to_pylist() for name, table in store.rows_of(video_id, COLUMNS).items()}


@pytest.mark.parametrize("is_told", [True, False])
def test_a_video_is_found_in_parts_in_segments_and_once_they_are_merged(tmp_path: Path, is_told: bool) -> None:
    store = Store(str(tmp_path / "out"))
    for begin in range(0, 40, 4):
        fill(store, [f"u{i}" for i in range(begin, begin + 4)])
        if is_told:
            write_loose(store.commits)
        for video_id in (f"u{begin + 2}-0", f"u{begin + 2}-x"):
            assert by_id(Store(store.url), video_id) == by_whole_reads(Store(store.url), video_id)
        merge_all(store, MergeSizes(4, 8, grace_s=3600))
        merge_ids(store)
        for video_id in ("u0-1", f"u{begin + 2}-0", f"u{begin + 2}-x", "u99-0"):
            assert by_id(Store(store.url), video_id) == by_whole_reads(Store(store.url), video_id)
    assert any(file.stage == "ids" for file in read_head(store)[0].ids), "the ids of many segments lie in one file"
    store.uncommit("making", "u6")
    assert not by_id(Store(store.url), "u6-0")["clips"] and len(by_id(Store(store.url), "u7-0")["clips"]) == 2
    fill(store, ["u6"], version=1)
    assert by_id(Store(store.url), "u6-0")["videos"] == [{"video_id": "u6-0", "title": "u6 0 version 1"}]


def test_what_was_committed_taken_back_or_done_again_since_ids_were_told_is_found_as_it_is_now(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, [f"u{i}" for i in range(8)])
    write_loose(store.commits)
    store.uncommit("making", "u1", "u2", "u3")
    fill(store, ["u2", "u20"], version=1)

    found = {unit: by_id(Store(store.url), f"{unit}-0")["videos"] for unit in ("u0", "u1", "u2", "u3", "u7", "u20")}

    titles = {unit: [row["title"] for row in rows] for unit, rows in found.items()}
    assert titles == {
        "u0": ["u0 0 version 0"],
        "u1": [],
        "u2": ["u2 0 version 1"],
        "u3": [],
        "u7": ["u7 0 version 0"],
        "u20": ["u20 0 version 1"],
    }


@pytest.mark.parametrize("harm", [b"", b"no table", None])
def test_ids_of_parts_that_are_damaged_or_gone_cost_requests_and_nothing_else(
    tmp_path: Path, harm: bytes | None
) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, ["u1", "u2"])
    write_loose(store.commits)
    whole = by_id(Store(store.url), "u2-1")
    store.delete(LOOSE)
    if harm is not None:
        store.write(LOOSE, harm)
    assert by_id(Store(store.url), "u2-1") == whole == by_whole_reads(store, "u2-1")


def test_looking_up_one_of_many_asks_for_little(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    for begin in range(0, 120, 6):
        fill(store, [f"u{i}" for i in range(begin, begin + 6)], a_group=6)
        merge_all(store, MergeSizes(6, 64, grace_s=0))
        merge_ids(store)
    fill(store, [f"u{i}" for i in range(200, 260)], a_group=1)
    write_loose(store.commits)
    assert len(read_head(store)[0].segments) == 20
    for video_id, n_clips in (("u77-1", 1), ("u230-0", 2), ("nobody", 0)):
        with count_requests() as counted:
            found = by_id(Store(store.url), video_id)
        assert len(found["clips"]) == n_clips and counted.n <= 18, (video_id, counted.kinds)


def test_a_part_that_was_lost_hides_no_other(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, ["u1"])
    store.delete(next(part.path for part in store.parts("clips")))
    found = by_id(store, "u1-0")
    assert not found["clips"] and len(found["videos"]) == 1


def test_a_video_is_found_by_the_address_that_it_comes_from(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    address = "https://films.example/a.mp4"
    for n, url in enumerate([address + "/", "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "file.mp4"]):
        facts = make(store, f"u{n}")
        rows = table_of([a_video_row(f"v{n}", url=url)], TABLES["videos"])
        facts["parts"] = {"videos": store.write_part("videos", "making", f"u{n}", rows)}
        store.commit_all("making", {f"u{n}": {**facts, "ids": ids_of_unit({"videos": rows})}})

    def found(key: str) -> list[str]:
        return Store(store.url).rows_near([key], {"videos": ["video_id"]})["videos"].column("video_id").to_pylist()

    for _ in range(2):
        assert (found(address), found("dQw4w9WgXcQ"), found("v2"), found("file.mp4")) == (["v0"], ["v1"], ["v2"], [])
        merge_all(store, MergeSizes(3, 8, grace_s=0))

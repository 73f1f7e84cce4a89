"""Segments: what a reader finds in them, and how their units are taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.parts import Part, joined
from pipeline.engine.segments import read_head
from pipeline.engine.store import Store
from tests.pipeline.engine.merges import UNITS, fill, merge_all, said, same


def test_rows_that_follow_each_other_in_a_file_are_read_in_one_piece() -> None:
    def part(path: str, first: int, n_rows: int) -> Part:
        return Part("extract", f"u{first}", path, first, n_rows)

    one, two, apart, before, other = part("a", 0, 3), part("a", 3, 2), part("a", 7, 2), part("a", 5, 2), part("b", 7, 1)
    own = part("c", 0, -1)

    assert list(joined([one, two, apart, before, other])) == [part("a", 0, 5), apart, before, other]
    assert list(joined([own, own])) == [own, own], "files of their own are read one by one"


def test_units_of_a_segment_are_taken_back_and_done_again(store: Store) -> None:
    fill(store, UNITS)
    merge_all(store)

    store.uncommit("extract", "u3", "u4")

    assert store.committed("extract") == set(UNITS) - {"u3", "u4"}
    assert not {"u3-0", "u4-1"} & set(store.read_table("videos").column("video_id").to_pylist())
    with pytest.raises(FileNotFoundError):
        store.commit_facts("extract", "u3")
    fill(store, ["u3", "u4", "u90"], version=1)
    after = said(store)
    assert after["facts"]["u3"][0] == 1 and after["videos"].num_rows == 28
    merge_all(store)
    assert same(said(Store(store.url, store.options)), after)


def test_a_stage_that_is_done_again_retires_its_segments(store: Store) -> None:
    fill(store, UNITS)
    merge_all(store)
    store.uncommit("extract", *UNITS)
    fill(store, UNITS, version=1)
    merge_all(store)

    assert {version for version, _ in said(store)["facts"].values()} == {1}
    head, _ = read_head(store)
    assert len(head.segments) == 1 and not head.retired


def test_a_commit_that_is_said_anew_keeps_the_unit_s_rows(store: Store) -> None:
    fill(store, UNITS)
    merge_all(store)
    before = said(store)

    store.commit("extract", "u4", {**store.commit_facts("extract", "u4"), "version": 5})

    after = said(Store(store.url, store.options))
    assert after["facts"]["u4"][0] == 5 and after["videos"].equals(before["videos"])
    assert after["rejects"].equals(before["rejects"])


def test_who_meets_a_missing_file_lists_again(store: Store) -> None:
    fill(store, UNITS)
    parts = store.parts("clips")
    merge_all(Store(store.url, store.options))

    rows = [store.read_part(part).to_pylist() for part in parts]

    assert sum(map(len, rows)) == 39
    for part, some in zip(parts, rows, strict=True):
        assert {row["video_id"].partition("-")[0] for row in some} == {part.unit}


def test_a_unit_that_lost_a_part_is_not_merged_away(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    (part,) = [part for part in store.parts("clips") if part.unit == "u7"]
    store.delete(part.path)

    merge_all(store)

    assert list(store.loose(read_head(store)[0], "extract")) == ["u7"]

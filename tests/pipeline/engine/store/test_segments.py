"""Segments: what a reader finds in them, and how their units are taken back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.errors import DamagedFile
from manifests.files import Files
from pipeline.engine.store.lookup import hash_of, rows_with_hash
from pipeline.engine.store.segments import (
    HEAD,
    Head,
    Segment,
    SegmentReader,
    change_head,
    read_head,
    without,
    write_head,
)
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part, joined
from tests.pipeline.engine.merges import UNITS, fill, merge_all, said, same


def test_rows_that_follow_each_other_in_a_file_are_read_in_one_piece() -> None:
    def part(path: str, first: int, n_rows: int) -> Part:
        return Part("making", f"u{first}", path, first, n_rows)

    one, two, apart, before, other = part("a", 0, 3), part("a", 3, 2), part("a", 7, 2), part("a", 5, 2), part("b", 7, 1)
    own = part("c", 0, -1)

    assert list(joined([one, two, apart, before, other])) == [part("a", 0, 5), apart, before, other]
    assert list(joined([own, own])) == [own, own], "files of their own are read one by one"


def test_units_of_a_segment_are_taken_back_and_done_again(store: Store) -> None:
    fill(store, UNITS)
    merge_all(store)

    store.uncommit("making", "u3", "u4")

    assert store.committed("making") == set(UNITS) - {"u3", "u4"}
    assert not {"u3-0", "u4-1"} & set(store.read_table("videos").column("video_id").to_pylist())
    with pytest.raises(FileNotFoundError):
        store.commit_facts("making", "u3")
    fill(store, ["u3", "u4", "u90"], version=1)
    after = said(store)
    assert after["facts"]["u3"][0] == 1 and after["videos"].num_rows == 28
    merge_all(store)
    assert same(said(Store(store.url, store.options)), after)


def test_a_stage_that_is_done_again_retires_its_segments(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    merge_all(store)
    store.uncommit("making", *UNITS)
    fill(store, UNITS, version=1)
    merge_all(store)

    assert {version for version, _ in said(store)["facts"].values()} == {1}
    head, _ = read_head(store)
    assert len(head.segments) == 1 and not head.retired


def test_a_commit_that_is_said_anew_keeps_the_unit_s_rows(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    merge_all(store)
    before = said(store)

    store.commit("making", "u4", {**store.commit_facts("making", "u4"), "version": 5})

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

    merge_all(Store(store.url))

    assert list(store.loose(read_head(store)[0], "making")) == ["u7"]


def a_segment(name: str, n_units: int = 2, stage: str = "making", **more: Any) -> Segment:
    facts = {"level": 0, "bytes": 1, "rows": {}, "rejects": {}, "seconds": 0.0, "made_at": 0.0}
    return Segment(id=name, stage=stage, n_units=n_units, **{**facts, **more})


def test_units_are_void_where_they_are_and_a_segment_without_others_is_retired() -> None:
    head = Head(segments=(a_segment("a", 3, void=("u1",)), a_segment("b"), a_segment("c"), a_segment("a", 2, "other")))
    changed = without(head, "making", {"a": ["u2"], "b": ["u3", "u4"]})

    assert [(segment.id, segment.stage, segment.void) for segment in changed.segments] == [
        ("a", "making", ("u1", "u2")),
        ("c", "making", ()),
        ("a", "other", ()),
    ]
    (retired,) = changed.retired
    assert (retired.id, retired.stage) == ("b", "making") and abs(retired.at - time.time()) < 60
    assert without(head, "making", {}) == head and head.of("other") == [head.segments[3]]


def test_the_head_is_written_only_as_it_was_read_and_each_change_counts(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_head(store) == (Head(), None)
    assert change_head(store, lambda head: head).generation == 1, "there is one from now on"
    assert change_head(store, lambda head: head).generation == 1, "nothing has changed"
    first = change_head(store, lambda head: head.model_copy(update={"covered": {"a": 1}}))
    assert (first.generation, read_head(store)[0]) == (2, first)
    assert store.read(HEAD).startswith(b'{\n "generation": 2,')
    assert not write_head(store, Head(), None) and not write_head(store, Head(), b"other")

    tries: list[int] = []

    def beside(head: Head) -> Head:
        tries.append(head.generation)
        if len(tries) < 10:  # another one changes it each time in between
            there, seen = read_head(store)
            assert write_head(store, there.model_copy(update={"generation": there.generation + 1}), seen)
        return head.model_copy(update={"covered": {"a": 2}})

    assert change_head(store, beside).covered == {"a": 2} and len(tries) == 10
    tries.clear()

    def always(head: Head) -> Head:
        beside(head)
        tries.pop()
        return head.model_copy(update={"covered": {"a": 3}})

    with pytest.raises(DamagedFile, match="keeps changing"):
        change_head(store, always)


def test_fields_of_a_later_version_are_passed_over_and_a_damaged_head_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write(HEAD, b'{"generation": 4, "of later": 1}')
    assert read_head(store)[0].generation == 4
    store.write(HEAD, b'{"generation": "x"}')
    with pytest.raises(DamagedFile, match=r"segments/head.json: cannot be read"):
        read_head(store)
    assert Head().generation == 0


def test_what_was_read_of_a_segment_is_kept_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    merge_all(store)
    head, _ = read_head(store)
    (segment,) = head.segments
    reader, opened = SegmentReader(store), []  # type: ignore[var-annotated]
    opening = Files.open
    monkeypatch.setattr(Files, "open", lambda files, path: [opened.append(path), opening(files, path)][1])
    assert reader.units(segment) is reader.units(segment) and len(opened) == 1
    assert "facts" not in reader.units(segment).column_names
    reader.follow(head)
    assert reader.units(segment).num_rows == 13 and len(opened) == 1
    assert reader.sizes == {f"{segment.folder}/{name}": size for name, size in segment.sizes.items()} != {}
    reader.follow(Head())
    assert reader.sizes == {}
    assert reader.units(segment).num_rows == 13 and len(opened) == 2

    ranges = list(reader.row_ranges(segment, "rejects"))
    assert [unit for unit, _, _ in ranges] == ["u0", "u10", "u12", "u2", "u4", "u6", "u8"]
    assert [first for _, first, _ in ranges] == [0, 1, 2, 3, 4, 5, 6] and {n for _, _, n in ranges} == {1}
    assert list(reader.row_ranges(segment, "listings")) == []
    assert [unit for unit, _, _ in reader.row_ranges(segment, "clips", pa.array(["u3"]))] == ["u3"]
    void = segment.model_copy(update={"void": ("u10", "u3")})
    assert reader.live(void).num_rows == 11 and reader.among(void, ["u3", "u4", "zz"]) == ["u4"]
    order = reader.units(segment).column("unit").to_pylist()
    counts = [reader.counts(void, "clips", row) for row in range(39)]
    assert counts == [unit not in ("u10", "u3") for unit in order for _ in range(3)]
    assert reader.counts(segment, "clips", 0)


def test_commits_of_units_are_read_out_of_a_segment(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    merge_all(store)
    (segment,) = read_head(store)[0].segments
    reader = SegmentReader(store)

    assert [unit for unit, _ in reader.facts(segment, "u3")] == ["u3"]
    void = segment.model_copy(update={"void": ("u3",)})
    assert list(reader.facts(void, "u3")) == []
    assert {unit for unit, _ in reader.facts(void, but=lambda unit: unit == "u4")} == {*UNITS} - {"u3", "u4"}
    (_, facts), *_ = reader.facts(segment, "u5")
    assert facts["segment"] == segment.id and facts["rows"] == {"videos": 2, "clips": 3} and "parts" not in facts


def test_rows_of_an_id_are_found_in_segments_that_count(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    merge_all(store)
    head, _ = read_head(store)
    (segment,) = head.segments

    def found(head: Head, name: str = "u3-1", *tables: str) -> list[tuple[str, int, int]]:
        some = rows_with_hash(SegmentReader(store), head, [hash_of(name)], set(tables or ("videos", "clips")))
        return sorted((part.table, part.first, part.n_rows) for _, part in some)

    order = SegmentReader(store).units(segment).column("unit").to_pylist().index("u3")
    (clip, video) = found(head)
    assert clip[0] == "clips" and 3 * order <= clip[1] < 3 * order + 3 and video[0] == "videos"
    assert found(head, "nobody") == []
    assert [table for table, _, _ in found(head, "u3-1", "videos")] == ["videos"]
    taken_back = head.model_copy(update={"segments": (segment.model_copy(update={"void": ("u3",)}),)})
    assert found(taken_back) == []
    assert found(head.model_copy(update={"segments": ()})) == [], "its files of ids may still be named"
    twice = head.model_copy(update={"ids": (*head.ids, *head.ids)})
    assert found(twice) == found(head), "a place that two files name is one"

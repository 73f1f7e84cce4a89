"""Segments: what a reader finds in them, and how their units are taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import DamagedFile
from pipeline.engine.store.segments import (
    HEAD,
    Head,
    change_head,
    read_head,
    write_head,
)
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import UNITS, fill, merge_all, said, same


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

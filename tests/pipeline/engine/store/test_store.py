"""The store on a disk: what has a final name is whole, and the tables say what committed units wrote, merged or not."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import DamagedFile
from manifests.files import Files
from manifests.parquet import parquet_bytes
from pipeline.engine.store import store as store_module
from pipeline.engine.store.segments import Head, change_head, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part, strays
from tests.pipeline.engine.merges import UNITS, fill, make, merge_all

LOOSE = ["u91", "u92"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(str(tmp_path_factory.mktemp("written")))
    fill(store, UNITS)
    merge_all(store)
    store.uncommit("making", "u3")
    fill(store, LOOSE)
    return Path(store.root)


@pytest.fixture
def half(written: Path, tmp_path: Path) -> Store:
    """Thirteen units in a segment, one of them taken back, and two that are not merged yet."""
    return Store(str(shutil.copytree(written, tmp_path / "out")))


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are read from now on, whole or in part."""
    paths: list[str] = []
    for name in ("read", "read_range"):
        call = getattr(Files, name)
        monkeypatch.setattr(
            Files, name, lambda f, path, *more, call=call: [paths.append(path), call(f, path, *more)][1]
        )
    return paths


def test_parts_are_named_in_the_order_of_their_units_wherever_they_lie(half: Store) -> None:
    live = sorted({*UNITS, *LOOSE} - {"u3"})
    assert [part.unit for part in half.parts("clips")] == live
    assert {part.unit for part in half.parts("clips") if part.n_rows < 0} == set(LOOSE)
    assert {part.n_rows for part in half.parts("videos")} == {2, -1} and half.parts("listings") == []
    assert [part.unit for part in half.reject_parts("making")] == [unit for unit in live if int(unit[1:]) % 2 == 0]
    assert half.reject_parts("other") == [] and half.reject_stages() == ["making"]
    assert half.parts_of("clips", ["u92", "u5", "u3", "gone"]).keys() == {"u5", "u92"}
    loose = half.loose_parts(read_head(half)[0], "clips")
    assert sorted(part.unit for part in loose) == LOOSE
    tables = {part.table for part in (*half.parts("clips"), *half.reject_parts("making"))}
    assert tables == {"clips", "rejects/making"}


def test_merged_rows_are_counted_without_being_read(half: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    half.parts("clips")
    paths = asked(monkeypatch)
    assert half.count_rows("clips") == 3 * 14 and half.count_rows("listings") == 0
    assert sum(path.startswith("clips/") for path in paths) == 2
    assert not any(path.endswith("clips.parquet") for path in paths)


def test_runs_are_the_rows_of_the_table_a_file_at_a_time(half: Store) -> None:
    runs = list(half.read_runs("clips", ["clip_id"]))
    whole = half.read_table("clips", ["clip_id"])
    assert pa.concat_tables(runs).sort_by("clip_id").equals(whole.sort_by("clip_id")) and whole.num_rows == 42
    assert sorted(run.num_rows for run in runs) == [3, 3, 18, 18], "of a segment what lies side by side"


def test_runs_that_a_merge_has_moved_are_found_again(tmp_path: Path) -> None:
    store, other = Store(str(tmp_path / "out")), Store(str(tmp_path / "out"))
    fill(store, UNITS)
    whole = store.read_table("clips", ["clip_id"])
    runs = store.read_runs("clips", ["clip_id"])
    first = next(runs)
    merge_all(other)
    assert pa.concat_tables([first, *runs]).sort_by("clip_id").equals(whole.sort_by("clip_id"))
    (part, *_) = other.parts("clips")
    other.uncommit("making", *UNITS)
    for path in Path(other.path("segments/making")).glob("*/clips*"):
        path.unlink()
    with pytest.raises(FileNotFoundError):
        other.read_part(part)


def test_a_table_s_column_that_was_added_later_is_missing_in_an_older_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_table("clips/part-making-u1-x.parquet", pa.table({"clip_id": ["a"], "video_id": ["v"]}))
    store.commit_all("making", {"u1": {"parts": {"clips": "clips/part-making-u1-x.parquet"}}})
    (part,) = store.parts("clips")
    assert store.read_part(part, ["text", "clip_id"]).column_names == ["clip_id"]
    assert store.read_part(part).column_names == ["clip_id", "video_id"]
    assert store.read_table("clips", ["text", "clip_id"]).column_names == ["text", "clip_id"]


def test_a_damaged_part_is_named_with_what_is_wrong(half: Store) -> None:
    loose, merged = half.parts("clips")[-1], half.parts("clips")[0]
    for part in (loose, merged):
        half.write(part.path, b"PAR1 of no table at all PAR1")
        with pytest.raises(
            DamagedFile, match=rf"{part.path}: is not a Parquet table \(.+\); restore the file"
        ) as error:
            Store(half.url).read_part(part)
        assert "\n" not in str(error.value)


def test_pieces_of_a_part_are_whole_row_groups_and_read_only_what_is_asked_for(
    half: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = max((part for part in half.parts("clips") if part.n_rows >= 0), key=lambda part: part.first)
    whole = Part(part.stage, "", part.path, 0, 39)
    columns = ["text", "clip_id", "start_ms"]
    rows = half.read_part(whole, columns)
    (piece,) = half.pieces(whole, columns)
    assert (piece.first, piece.n_rows) == (0, 39) and piece.read(columns).equals(rows)
    assert piece.read(["clip_id", "gone"]).column_names == ["clip_id"]
    table = pq.read_table(half.path(part.path))
    half.write(part.path, parquet_bytes(table, row_group_size=10))
    half.segments.sizes.clear()
    wide = pq.read_table(half.path(part.path.replace(".parquet", ".wide.parquet")))
    half.write(part.path.replace(".parquet", ".wide.parquet"), parquet_bytes(wide, row_group_size=10))
    assert len(list(half.pieces(whole, ["clip_id"]))) == 1, "so few rows are one piece"
    monkeypatch.setattr(store_module, "PIECE_BYTES", 1)
    pieces = list(half.pieces(whole, ["clip_id"]))
    assert [(piece.first, piece.n_rows) for piece in pieces] == [(0, 10), (10, 10), (20, 10), (30, 9)]
    assert len(list(half.pieces(whole, ["clip_id"], 1 << 30))) == 1, "as large as is asked for"
    paths = asked(monkeypatch)
    (narrow, *_) = half.pieces(whole, ["clip_id"], 1 << 30)
    narrow.read(["clip_id"])
    assert not [path for path in paths if path.endswith(".wide.parquet")]
    assert pa.concat_tables([piece.read(columns) for piece in half.pieces(whole, columns, 1)]).equals(rows)


def test_a_commit_of_a_merged_unit_is_said_anew_with_parts_of_its_own(half: Store) -> None:
    before = half.read_table("clips")
    facts = half.commit_facts("making", "u5")
    assert facts["segment"] and "parts" not in facts
    half.commit("making", "u5", facts)

    again = Store(half.url)
    anew = again.commit_facts("making", "u5")
    assert "segment" not in anew and sorted(anew["parts"]) == ["clips", "videos"] and "segment" in facts
    assert again.read_table("clips").equals(before)
    (part,) = again.parts_of("clips", ["u5"]).values()
    assert part.n_rows == -1 and part.path == anew["parts"]["clips"] and part.path.startswith("clips/part-making-u5-")


def test_parts_of_attempts_that_nobody_named_are_swept_and_nothing_else(half: Store) -> None:
    make(half, "u93", version=7), make(half, "u92", version=8)
    half.write("clips/other.parquet", b""), half.write("clips/part-x.txt", b"")
    kept = half.read_table("clips")

    assert half.sweep_parts() == 5, "two tables of either, and the rejects of one"
    assert half.sweep_parts() == 0 and half.read_table("clips").equals(kept)
    assert {"other.parquet", "part-x.txt"} <= set(half.names("clips"))
    names = ["part-a.parquet", "part-b.parquet", "part-c.txt", "d.parquet"]
    assert strays(names, ["part-a.parquet"]) == ["part-b.parquet"]


def test_rejects_are_counted_by_reason_merged_or_not_and_without_those_taken_back(half: Store) -> None:
    assert half.reject_counts("making") == Counter(private=8) and half.reject_counts("other") == Counter()
    half.uncommit("making", "u4", "u92")
    assert half.reject_counts("making") == Counter(private=6)
    assert half.read_rejects().num_rows == 6


def test_facts_of_units_are_told_by_name_but_for_those_that_are_known(half: Store) -> None:
    told = half.all_commit_facts("making", but=lambda unit: unit in ("u0", "u91"))
    assert [unit for unit, _ in told] == sorted({*UNITS, "u92"} - {"u0", "u3"})
    assert half.stages() == ["making"] and half.committed("other") == set()
    with pytest.raises(FileNotFoundError, match="no commit of u3"):
        half.commit_facts("making", "u3")
    half.commit_all("new", {})
    assert half.stages() == ["making"], "nothing was written"


def test_a_reader_starts_over_until_nothing_moves_under_it(half: Store) -> None:
    seen: list[int] = []

    def read(head: Head) -> int:
        seen.append(head.generation)
        if len(seen) == 1:
            raise FileNotFoundError("moved")
        if len(seen) == 2:
            change_head(Store(half.url), lambda head: head.model_copy(update={"covered": {**head.covered, "x": 1}}))
        return head.generation

    assert half.steadily(read) == seen[0] + 1 and len(seen) == 3

    def missing(head: Head) -> Any:
        seen.append(0)
        raise FileNotFoundError("gone")

    seen.clear()
    with pytest.raises(FileNotFoundError):
        half.steadily(missing)
    assert len(seen) == 6, "five times, and the last one tells"


def test_a_part_that_was_lost_is_left_out_from_the_first_look_on_or_once_a_reader_missed_it(
    half: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_rows = half.read_table("clips").num_rows
    lost = half.parts("clips")[-1]
    data = half.read(lost.path)
    half.delete(lost.path)

    assert (
        Store(half.url).parts("clips")[-1].unit == "u91" and Store(half.url).read_table("clips").num_rows == n_rows - 3
    )
    assert half.read_table("clips").num_rows == n_rows - 3, "whoever misses it looks again"
    assert half.parts("clips")[-1].unit == "u91"
    half.write(lost.path, data)
    assert half.parts("clips")[-1].unit == "u92", "it was restored"

"""The store on a disk: what has a final name is whole, and the tables say what committed units wrote, merged or not."""

import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import DamagedFile
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import strays
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

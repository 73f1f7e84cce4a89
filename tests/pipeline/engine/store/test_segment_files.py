"""A segment's files: every unit's rows one after the other, and its totals those of its commits."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvila_testing.rows import a_clip_row, a_video_row
from manifests.parquet import open_parquet
from manifests.schema import TABLES, completed
from pipeline.engine.store import segment_files
from pipeline.engine.store.merge import Job
from pipeline.engine.store.segment_files import write_rows, write_segment
from pipeline.engine.store.segments import Segment, change_head, with_segment
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part


def videos(*names: str) -> pa.Table:
    rows = pa.Table.from_pylist([a_video_row(name) for name in names], schema=TABLES["videos"])
    return completed(rows, TABLES["videos"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


FACTS = {
    "b": {"rows": {"videos": 2}, "rejects": {"live": 2}, "seconds": 1.0004, "parts": {"videos": "x"}, "segment": "old"},
    "a-1": {"rows": {"videos": 1}, "rejects": {"live": 1, "drm": 1}, "seconds": 2.0004},
    "a": {},
}


def a_segment(store: Store) -> Segment:
    rows = {"videos": [("a-1", videos("v1")), ("b", videos("v2", "v3"))], "clips": []}  # type: ignore[var-annotated]
    return write_rows(store, "extract", 2, FACTS, rows)  # type: ignore[arg-type]


def test_a_segment_says_what_its_commits_said_in_all(store: Store) -> None:
    made = a_segment(store)
    assert (made.stage, made.level, made.n_units, made.seconds) == ("extract", 2, 3, 3.001)
    assert made.rows == {"videos": 3, "clips": 0} and made.rejects == {"live": 3, "drm": 1}
    tables = {f"{name}{wide}.parquet" for name in ("videos", "clips") for wide in ("", ".wide")}
    assert made.sizes.keys() == {*tables, "ids.parquet"}
    assert made.bytes == sum(made.sizes.values())
    for name, size in made.sizes.items():
        assert store.size(f"{made.folder}/{name}") == size
    places = open_parquet(store.read(f"{made.folder}/ids.parquet")).read()
    assert set(places.column("first").to_pylist()) == {0, 1, 2} and set(places.column("table").to_pylist()) == {
        "videos"
    }


def test_where_each_unit_s_rows_lie_is_written_beside_them(store: Store) -> None:
    made = a_segment(store)
    units = pq.read_table(store.path(made.path("units")))
    assert units.column("unit").to_pylist() == ["a-1", "a", "b"], "in the order of their parts' names"
    assert units.column("first:videos").to_pylist() == [0, 1, 1] and units.column("n:videos").to_pylist() == [1, 0, 2]
    assert units.column("first:clips").to_pylist() == units.column("n:clips").to_pylist() == [0, 0, 0]
    facts = [json.loads(text) for text in units.column("facts").to_pylist()]
    assert facts[2] == {"rows": {"videos": 2}, "rejects": {"live": 2}, "seconds": 1.0004}, "without its parts"
    assert units.column("facts")[2].as_py().startswith('{"rejects"'), "the same bytes for the same facts"
    assert pq.read_table(store.path(made.path("videos"))).column("video_id").to_pylist() == ["v1", "v2", "v3"]


def test_the_only_video_of_a_segment_is_found_in_it(store: Store) -> None:
    made = write_rows(store, "extract", 0, {"a": {}}, {"videos": [("a", videos("v1"))]})
    change_head(store, lambda head: with_segment(head, made))
    assert store.rows_of("v1", {"videos": ["video_id"]})["videos"].num_rows == 1


def test_a_segment_without_ids_has_no_file_of_them(store: Store) -> None:
    made = write_rows(store, "extract", 0, {"a": {}}, {})
    assert made.bytes == 0 and store.names(made.folder) == ["units.parquet"]


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        ({"GROUP_ROWS": 4, "GROUP_BYTES": 1 << 40}, [4, 4, 1]),
        ({"GROUP_ROWS": 3, "GROUP_BYTES": 1 << 40}, [4, 4, 1]),
        ({"GROUP_ROWS": 99, "GROUP_BYTES": 1}, [2, 2, 2, 2, 1]),
        ({"GROUP_ROWS": 99, "GROUP_BYTES": 1 << 40}, [9]),
    ],
)
def test_row_groups_are_of_bounded_size_and_lose_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], sizes: list[int]
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(segment_files, name, value)
    of_units = [(f"u{i}", videos(*(f"u{i}-{k}" for k in range(2 if i < 4 else 1)))) for i in range(5)]
    made = write_rows(store, "extract", 0, {unit: {} for unit, _ in of_units}, {"videos": of_units})
    file = pq.ParquetFile(store.path(made.path("videos")))
    assert [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)] == sizes
    names = file.schema_arrow.names
    assert file.read().to_pylist() == [row for _, rows in of_units for row in rows.select(names).to_pylist()]
    places = open_parquet(store.read(f"{made.folder}/ids.parquet")).read()
    assert set(places.column("first").to_pylist()) == set(range(9))
    assert set(places.column("n_rows").to_pylist()) == {1}


def test_rows_of_any_unit_are_written_wherever_they_lay_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_files, "READERS", 1)  # one is read ahead, and then the next

    def clips(unit: str, n: int) -> pa.Table:
        rows = [a_clip_row(f"{unit}-v", i, i * 1000, i * 1000 + 900) for i in range(n)]
        return completed(pa.Table.from_pylist(rows, schema=TABLES["clips"]), TABLES["clips"])

    merged = {"a": clips("a", 3), "c": clips("c", 1)}
    old = write_rows(store, "extract", 0, {"a": {}, "c": {}}, {"clips": list(merged.items())})
    change_head(store, lambda head: head.model_copy(update={"segments": (old,)}))
    loose = {unit: clips(unit, 2) for unit in ("b", "d")}
    paths = {unit: store.write_part("clips", "extract", unit, rows, "t") for unit, rows in loose.items()}
    path = old.path("clips")
    parts = (
        Part("extract", "a", path, 0, 3),
        Part("extract", "b", paths["b"]),
        Part("extract", "empty", path, 3, 0),
        Part("extract", "c", path, 3, 1),
        Part("extract", "d", paths["d"]),
    )
    units = ("a", "b", "c", "d", "empty")
    made = write_segment(store, Job("extract", 1, {unit: {} for unit in units}, {"clips": parts}, (old.id,)))

    expected = pa.concat_tables([merged["a"], loose["b"], merged["c"], loose["d"]])
    change_head(store, lambda head: head.model_copy(update={"segments": (made,)}))
    assert Store(store.url).read_table("clips").equals(expected) and made.rows == {"clips": 8}
    told = pq.read_table(store.path(made.path("units")))
    assert told.column("n:clips").to_pylist() == [3, 2, 1, 2, 0]

"""One video's rows are found among all segments by a few requests, and are the rows that a whole read gives."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdvila_testing.requests import count_requests
from pipeline.engine.store import ids
from pipeline.engine.store.files import Files
from pipeline.engine.store.ids import (
    ENTRY,
    entries_of,
    entries_with,
    hash_of,
    merge_files,
    sorted_entries,
)
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.id_files import merge_ids
from tests.pipeline.engine.merges import fill, merge_all

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


def test_a_video_is_found_in_parts_in_segments_and_once_they_are_merged(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    units = [f"u{i}" for i in range(40)]
    for begin in range(0, 40, 4):
        fill(store, units[begin : begin + 4])
        merge_all(store, MergeSizes(4, 8, grace_s=3600))
        merge_ids(store)
        for video_id in ("u0-1", f"u{begin + 2}-0", f"u{begin + 2}-x", "u99-0"):
            fresh = Store(store.url)
            assert by_id(fresh, video_id) == by_whole_reads(fresh, video_id)
    assert read_head(store)[0].ids, "the ids of many segments lie in one file"
    store.uncommit("extract", "u6")
    assert not by_id(Store(store.url), "u6-0")["clips"] and len(by_id(Store(store.url), "u7-0")["clips"]) == 2
    fill(store, ["u6"], version=1)
    assert by_id(Store(store.url), "u6-0")["videos"] == [{"video_id": "u6-0", "title": "u6 0 version 1"}]


def test_looking_up_one_of_many_asks_for_little(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    for begin in range(0, 120, 6):
        fill(store, [f"u{i}" for i in range(begin, begin + 6)], a_group=6)
        merge_all(store, MergeSizes(6, 64, grace_s=0))
        merge_ids(store)
    assert len(read_head(store)[0].segments) == 20
    with count_requests() as counted:
        found = by_id(Store(store.url), "u77-1")
    assert len(found["clips"]) == 1 and counted.n < 25


@pytest.mark.parametrize("n_ids", [1, 1000, 60_000])
def test_a_hash_is_found_in_a_file_of_any_size(tmp_path: Path, n_ids: int) -> None:
    files = Files(str(tmp_path))
    names = [f"video-{i // 3}" for i in range(n_ids)]
    made = sorted_entries([entries_of("a1", "clips", pa.array(names), 0, [n_ids])])
    files.write("ids.bin", made.tobytes())
    for name in dict.fromkeys([names[0], names[n_ids // 2], names[-1]]):
        (entry,) = entries_with(files, "ids.bin", len(made), hash_of(name))
        assert [names[i] for i in range(entry["first"], entry["first"] + entry["n_rows"])] == [name] * names.count(name)
    assert not len(entries_with(files, "ids.bin", len(made), hash_of("nobody")))


def test_rows_of_one_id_in_two_units_and_more_than_a_number_holds_are_several_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ids, "MOST_ROWS", 4)
    made = entries_of("a1", "clips", pa.array(["a"] * 11), 100, [1, 10])
    assert [(row["first"], row["n_rows"]) for row in made] == [(100, 1), (101, 4), (105, 4), (109, 2)]


def test_merged_files_hold_what_is_live_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "AT_A_TIME", 7)
    files, pieces, sources = Files(str(tmp_path)), {}, []
    for segment in ("a1", "b2", "c3"):
        names = [f"{segment}-{i}" for i in range(40)] + [f"all-{i}" for i in range(10)]
        pieces[segment] = sorted_entries([entries_of(segment, "videos", pa.array(names), 0, [50])])
        files.write(f"{segment}.bin", pieces[segment].tobytes())
        sources.append((f"{segment}.bin", 50))
    with (tmp_path / "made.bin").open("wb") as out:
        assert merge_files(files, sources, {"a1", "c3"}, out) == 100
    made = np.frombuffer((tmp_path / "made.bin").read_bytes(), ENTRY)
    assert (made == sorted_entries([pieces["a1"], pieces["c3"]])).all()


def entries(hashes: list[int], segment: int = 0xA1) -> ids.Entries:
    """Sorted entries with such hashes, told apart by their first rows."""
    made = np.zeros(len(hashes), ENTRY)
    made["hash"], made["segment"] = sorted(hashes), segment
    made["first"] = range(len(hashes))
    return made


SPREAD = st.integers(0, 40).map(lambda i: i * 2**59 % 2**64)
SKEWED = st.one_of(SPREAD, st.integers(0, 5), st.integers(2**64 - 5, 2**64 - 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hashes=st.lists(SKEWED, min_size=1, max_size=60), other=SKEWED)
def test_all_entries_of_a_hash_are_found_however_hashes_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashes: list[int], other: int
) -> None:
    monkeypatch.setattr(ids, "WHOLE_BYTES", 0)
    monkeypatch.setattr(ids, "WINDOW", 0.1)
    files, made = Files(str(tmp_path)), entries(hashes)
    files.write("ids.bin", made.tobytes())
    for wanted in {hashes[0], max(hashes), min(hashes), other}:
        found = entries_with(files, "ids.bin", len(made), wanted)
        assert found.tolist() == made[made["hash"] == np.uint64(wanted)].tolist()


def test_a_window_is_read_of_a_large_file_and_all_of_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, spans = Files(str(tmp_path)), []  # type: ignore[var-annotated]
    read = Files.read_range
    monkeypatch.setattr(Files, "read_range", lambda f, p, a, b: [spans.append((a, b)), read(f, p, a, b)][1])
    made = entries([i * 2**64 // 20_000 for i in range(20_000)])
    files.write("ids.bin", made.tobytes())
    (entry,) = entries_with(files, "ids.bin", len(made), int(made["hash"][5_000]))
    ((low, high),) = spans
    assert entry["first"] == 5_000 and (low + high) / 2 == 5_000 * ENTRY.itemsize and high - low < made.nbytes / 10
    spans.clear()
    monkeypatch.setattr(ids, "WHOLE_BYTES", made.nbytes)
    entries_with(files, "ids.bin", len(made), int(made["hash"][5_000]))
    assert spans == [(0, made.nbytes)]


def test_an_entry_holds_as_many_rows_as_its_number_can_tell() -> None:
    made = entries_of("a1", "clips", pa.array(["a"] * 65_536 + ["b"]), 0, [65_537])
    assert [(row["first"], row["n_rows"]) for row in made] == [(0, 65_535), (65_535, 1), (65_536, 1)]
    assert len(entries_of("a1", "clips", pa.array([], pa.string()), 0, [])) == 0
    made = entries_of("a1", "clips", pa.array(["a", "a", "b"]), 7, [0, 1, 2, 0])
    assert [(row["first"], row["n_rows"]) for row in made] == [(7, 1), (8, 1), (9, 1)], "units without rows have none"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.lists(SKEWED, max_size=15), max_size=4), at_a_time=st.integers(1, 9))
def test_a_merge_is_all_entries_in_order_however_few_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[list[int]], at_a_time: int
) -> None:
    monkeypatch.setattr(ids, "AT_A_TIME", at_a_time)
    files, made = Files(str(tmp_path)), [entries(hashes, n) for n, hashes in enumerate(pieces)]
    sources = [(f"{n}.bin", len(some)) for n, some in enumerate(made)]
    for (path, _), some in zip(sources, made, strict=True):
        files.write(path, some.tobytes())
    out = io.BytesIO()
    live = {f"{n:x}" for n in range(len(pieces) - 1)}
    assert merge_files(files, sources, live, out) == sum(map(len, made[:-1]))
    assert out.getvalue() == sorted_entries(made[:-1]).tobytes()


def test_few_entries_of_a_file_are_in_memory_while_it_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "AT_A_TIME", 10)
    files, asked, written = Files(str(tmp_path)), [], []  # type: ignore[var-annotated]
    files.write("a.bin", entries([i * 2**64 // 100 for i in range(100)]).tobytes())
    read = Files.read_range
    monkeypatch.setattr(Files, "read_range", lambda f, p, a, b: [asked.append(b - a), read(f, p, a, b)][1])
    out: Any = SimpleNamespace(write=lambda data: written.append(len(data)))
    merge_files(files, [("a.bin", 100)], {"a1"}, out)
    assert written == [10 * ENTRY.itemsize] * 10 and max(asked) == 10 * ENTRY.itemsize

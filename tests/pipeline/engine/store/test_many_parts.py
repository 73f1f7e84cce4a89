"""Rows of many parts are those of each, wherever they lie and whatever a merge has moved."""

from pathlib import Path

import pyarrow as pa
import pytest

from hdvila_testing.requests import count_requests
from manifests.schema import TABLES
from pipeline.engine.store import many_parts
from pipeline.engine.store.many_parts import read_many
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from tests.pipeline.engine.merges import fill, merge_all

SCHEMA = pa.schema([TABLES["clips"].field(name) for name in ("clip_id", "start_ms", "text")])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four segments whose units alternate by name, and two units in none."""
    store = Store(str(tmp_path / "out"))
    for i in range(4):
        fill(store, [f"u{4 * k + i:02}" for k in range(5)], a_group=5)
        merge_all(store, MergeSizes(n_units=5, fan_in=99, grace_s=0))
    fill(store, ["u97", "u98"])
    return store


def by_part(store: Store, parts: list[Part]) -> dict[int, pa.Table]:
    found: dict[int, pa.Table] = {}
    for owners, rows in read_many(store, parts, SCHEMA):
        for i in dict.fromkeys(owners.tolist()):
            assert i not in found, "a part's rows come together"
            found[i] = rows.filter(pa.array(owners == i))
    return found


@pytest.mark.parametrize("most_rows", [1, 7, 1 << 16])
def test_each_part_has_its_own_rows(store: Store, monkeypatch: pytest.MonkeyPatch, most_rows: int) -> None:
    monkeypatch.setattr(many_parts, "MOST_ROWS", most_rows)
    parts = store.parts("clips")
    assert len(parts) == 22
    for some in (parts, parts[::3], parts[5:6], []):
        found = by_part(store, some)
        assert sorted(found) == list(range(len(some)))
        for i, part in enumerate(some):
            assert found[i].equals(store.read_part(part, SCHEMA.names).cast(SCHEMA))


def test_parts_of_one_file_are_read_together_and_files_side_by_side(store: Store) -> None:
    parts = store.parts("clips")
    with count_requests(0.02) as counted:
        read = list(read_many(store, parts, SCHEMA))
    assert len(read) == 4 + 2 and counted.n_sequential <= 6 < counted.n


def test_parts_that_were_moved_since_are_found(store: Store) -> None:
    parts = store.parts("clips")
    before = by_part(store, parts)
    merge_all(store, MergeSizes(n_units=2, fan_in=2, grace_s=0))
    assert by_part(store, parts) == before

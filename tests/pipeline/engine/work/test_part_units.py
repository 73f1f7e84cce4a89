"""Units that each process a part: the part is found by the unit's name, and read where it is worked on."""

from pathlib import Path
from unittest import mock

import pytest

from hdvila_testing.rows import a_video_row, commit_rows
from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_unit
from pipeline.engine.work.part_units import OverParts, ids_of, part_of, parts_processed
from pipeline.engine.work.unit import Unit, name_over


class Reader(OverParts):
    over = "videos"


def test_a_part_is_found_by_its_own_name_or_by_that_of_the_unit_over_it(tmp_path: Path) -> None:
    store, long = Store(str(tmp_path / "out")), "x" * 90
    for stage, unit in (("extract", "00001-a"), ("folder", "b"), ("extract", long)):
        commit_rows(store, stage, unit, {"videos": [a_video_row(unit)]})

    names = {"extract-00001-a", "b", name_over("extract", long), "extract-00002-a"}
    found = parts_processed(store, "videos", names)

    assert {name: (part.stage, part.unit) for name, part in found.items()} == {
        "extract-00001-a": ("extract", "00001-a"),
        "b": ("folder", "b"),
        name_over("extract", long): ("extract", long),
    }


def test_the_units_of_parts_are_made_without_reading_any_of_them(tmp_path: Path) -> None:
    for n in (5, 15, 45):
        store = Store(str(tmp_path / str(n)))
        for i in range(n):
            commit_rows(store, "extract", f"u{i:02}", {"videos": [a_video_row(f"v{i}")]})
        with mock.patch.object(Store, "read_part", side_effect=AssertionError("a part was read")):
            units = list(Reader().units(store))
        assert [unit.name for unit in units] == [f"extract-u{i:02}" for i in range(n)]
        assert [part_of(unit).unit for unit in units] == [f"u{i:02}" for i in range(n)]


@pytest.mark.parametrize("ids", [["b", "a"], []])
def test_a_unit_that_fails_as_a_whole_rejects_every_video_of_its_part(tmp_path: Path, ids: list[str]) -> None:
    store = Store(str(tmp_path / "out"))
    commit_rows(store, "extract", "u1", {"videos": [a_video_row(i) for i in [*ids, *ids]]})
    (unit,) = Reader().units(store)

    facts = reject_unit("reader", unit, Reason.TIMEOUT, "slow", store, 1).facts

    assert facts["rejects"] == {"timeout": max(1, len(ids))}
    assert ids_of(unit, store) == (tuple(sorted(ids)) or (unit.name,))
    assert ids_of(Unit("plain", ids=("x",)), store) == ("x",) and ids_of(Unit("plain"), store) == ("plain",)

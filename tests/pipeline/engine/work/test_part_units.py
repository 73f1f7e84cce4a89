"""The part that a unit processes, found by the unit's name."""

from pathlib import Path

from hdvila_testing.rows import a_video_row
from pipeline.engine.store.store import Store
from pipeline.engine.work.part_units import parts_processed
from pipeline.engine.work.unit import name_over


def test_a_part_is_found_by_its_own_name_or_by_that_of_the_unit_over_it(tmp_path: Path) -> None:
    store, long = Store(str(tmp_path / "out")), "x" * 90
    for stage, unit in (("extract", "00001-a"), ("folder", "b"), ("extract", long)):
        store.write_part("videos", stage, unit, [a_video_row(unit)])
        store.commit(stage, unit, {})

    names = {"extract-00001-a", "b", name_over("extract", long), "extract-00002-a"}
    found = parts_processed(store, "videos", names)

    assert {name: (part.stage, part.unit) for name, part in found.items()} == {
        "extract-00001-a": ("extract", "00001-a"),
        "b": ("folder", "b"),
        name_over("extract", long): ("extract", long),
    }

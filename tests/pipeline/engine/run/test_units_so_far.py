"""What a run knows of each stage's units: no stage is told of a part twice, however many there were before."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.engine.run.lines import ListedInThread
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.unit import Context, Output, Resources, Unit
from tests.pipeline.engine.merges import fill, merge_all


@dataclass
class Told:
    """A stage over the parts of `clips`, which remembers of which it was told."""

    told: list[str] = field(default_factory=list)
    name: str = "reader"
    over: str = "clips"
    resources: Resources = Resources()

    def units(self, store: Store) -> Iterator[Unit]:
        raise AssertionError("asked for all its units")

    def unit_name(self, part: Part) -> str:
        self.told.append(part.unit)
        return f"of-{part.unit}"

    def units_of(self, store: Store, parts: Sequence[Part]) -> Iterator[Unit]:
        return (Unit(f"of-{part.unit}", {}, ()) for part in parts)

    def process(self, unit: Unit, context: Context) -> Output:
        raise NotImplementedError


def test_a_stage_is_told_of_each_part_once_at_any_size(tmp_path: Path) -> None:
    for n in (20, 60, 200):
        store = Store(str(tmp_path / f"{n}"))
        fill(store, [f"u{i}" for i in range(n)], a_group=n)
        merge_all(store, MergeSizes(n_units=n // 2, fan_in=3, grace_s=0))
        units, stage = UnitsSoFar(store), Told()
        assert len(units.new_parts(stage)) == n
        stage.told.clear()

        for new in ("u901", "u902", "u903"):
            fill(store, [new])
            assert [part.unit for part in units.new_parts(stage)] == [new]

        assert stage.told == ["u901", "u902", "u903"]


def test_parts_whose_units_are_committed_are_not_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, ["u1", "u2", "u3"])
    store.commit("reader", "of-u2", {})
    units = UnitsSoFar(store)

    assert [part.unit for part in units.new_parts(Told())] == ["u1", "u3"]
    units.add("reader", ["of-u1"])
    assert "of-u1" in units.committed("reader") and "of-u3" not in units.committed("reader")


def test_parts_may_be_looked_for_in_a_thread_while_the_loop_commits(tmp_path: Path) -> None:
    store, looks, may_look = Store(str(tmp_path / "out")), threading.Event(), threading.Event()
    fill(store, ["u1", "u2"])
    with ThreadPoolExecutor(1) as thread:
        units, stage = UnitsSoFar(store, thread), Told()
        units.load()

        def listed() -> Iterator[Unit]:
            looks.set()
            assert may_look.wait(60)
            return stage.units_of(store, units.new_parts(stage))

        source = ListedInThread(listed, thread)
        source.ask()
        assert looks.wait(60) and source.is_listing and source.take() is None, "the loop does not wait"
        fill(store, ["u3"])
        units.add("reader", ["of-u1"])
        may_look.set()

        taken = []
        while source.is_listing:
            taken += [unit.name for unit in [source.take()] if unit]
    assert taken == ["of-u2", "of-u3"] and source.take() is None

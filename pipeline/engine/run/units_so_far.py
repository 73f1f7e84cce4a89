"""What a run knows of each stage's units, kept from one chain of stages to the next: nothing is walked twice."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pipeline.engine.run.name_set import Names
from pipeline.engine.store.new_parts import NewParts
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.unit import PerPart


class UnitsSoFar:
    """Which units are committed, and of which parts the stages that work on parts have not been told yet.

    Commits are read once, then counted as they are made: whoever takes one back makes another of these.
    """

    def __init__(self, store: Store, thread: ThreadPoolExecutor | None = None) -> None:
        """`thread`: where new parts are looked for, so that a loop need not wait; of one thread alone."""
        self.store, self.thread = store, thread
        self._store_of_parts = replace(store) if thread else store  # a store's caches must not be shared
        self._committed: dict[str, Names] = {}
        self._new_parts: dict[str, NewParts] = {}

    def committed(self, stage: str) -> Names:
        """The units of a stage that are committed."""
        if stage not in self._committed:
            self._committed[stage] = Names(self.store.committed(stage))
        return self._committed[stage]

    def load(self) -> None:
        """Reads the commits of all stages: seconds, where there are millions."""
        for stage in self.store.stages():
            self.committed(stage)

    def add(self, stage: str, units: Iterable[str]) -> None:
        """Counts units that this run has committed."""
        committed = self.committed(stage)
        for unit in units:
            committed.add(unit)

    def new_parts(self, stage: PerPart) -> list[Part]:
        """The parts committed since the last call for this stage whose units are not committed; in a thread beside the
        loop also some whose units are just being committed, which the loop knows.
        """
        if stage.name not in self._new_parts:
            self._new_parts[stage.name] = NewParts(self._store_of_parts, stage.over)
        committed = self.committed(stage.name)
        return [part for part in self._new_parts[stage.name].new() if stage.unit_name(part) not in committed]

"""Generations: shards that are closed together, as they fill up, from the first day on.

    generations/<n>.json     the batches that it covers, and the units that make its shards

After each batch, in order, a selection is made of what exists, with no category above its share of the whole. If it
fills more train shards than are closed, these become the next generation, recorded before it is worked on. What is
closed stays: a later duplicate of it is rejected or goes to the same split, and quotas and channel shares count it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from manifests.errors import UserError
from manifests.shards import read_manifest
from pipeline.balance.quotas import balance_of
from pipeline.balance.result import BalanceResult
from pipeline.balance.selection import select
from pipeline.run.aims import shares_of
from pipeline.run.publish import write_selection
from pipeline.shards.stage import ShardsStage

if TYPE_CHECKING:
    from pipeline.run.batches import Batches
    from pipeline.run.session import Run

GENERATIONS = "generations"


@dataclass(frozen=True, slots=True)
class Generation:
    """Shards that are full after `n_batches`, and the balance by then. `units`: names of the shards' units."""

    number: int
    n_batches: int
    units: tuple[str, ...]
    stage: ShardsStage
    balance: BalanceResult


class Recorded(TypedDict):
    """A file of generations/: after which batch a generation was closed, and the units that make its shards."""

    n_batches: int
    generation: int
    units: list[str]


class Closing:
    """Decides on the next generation, batch after batch, and records it in `batches`."""

    def __init__(self, run: Run, batches: Batches) -> None:
        self._run, self._batches = run, batches
        self._next: Generation | None = None
        names = run.store.names(GENERATIONS)
        self._records: list[Recorded] = [run.store.read_json(f"{GENERATIONS}/{name}") for name in names]
        batches.closings = {record["n_batches"]: record["generation"] for record in self._records}
        batches.n_decided = max(batches.closings, default=0)
        batches.decide = self.decide
        if self._records and not self._is_published(self._records[-1]):
            batches.n_decided -= 1

    def decide(self) -> Generation | None:
        """The next generation, recorded; None if no finished batch fills a shard."""
        batches = self._batches
        while self._next is None and batches.n_decided < batches.n_over:
            recorded = self._records[-1] if self._records else None
            if recorded and recorded["n_batches"] == batches.n_decided + 1:
                self._next = self._again(recorded)
            else:
                self._next = self._full_after(batches.n_decided + 1)
            if self._next is None:
                batches.n_decided += 1
        return self._next

    def end(self, generation: Generation) -> None:
        """Takes note that a generation is published."""
        self._next = None
        self._batches.n_decided = generation.n_batches

    def _full_after(self, n_batches: int) -> Generation | None:
        balance, stage = self._selected(n_batches)
        units = list(stage.units(self._run.store))
        if not units:
            return None
        number = units[0].payload.shard.generation
        generation = Generation(number, n_batches, tuple(unit.name for unit in units), stage, balance)
        record: Recorded = {"n_batches": n_batches, "generation": number, "units": list(generation.units)}
        self._run.lock.check()
        self._run.store.write_json(f"{GENERATIONS}/{len(self._records):05d}.json", record)
        self._records.append(record)
        self._batches.closings[n_batches] = number
        return generation

    def _again(self, record: Recorded) -> Generation:
        """Restores a generation that a killed run recorded and did not finish."""
        balance, stage = self._selected(record["n_batches"], record["generation"])
        return Generation(record["generation"], record["n_batches"], tuple(record["units"]), stage, balance)

    def _selected(self, n_batches: int, n_closed: int | None = None) -> tuple[BalanceResult, ShardsStage]:
        run, batches = self._run, self._batches
        config, but = run.config, batches.ids_from(n_batches)
        balanced = balance_of(config)
        candidates = run.plan_from(batches.batches[n_batches - 1].n_rounds)
        outcomes = candidates.outcomes(but, n_closed=n_closed)
        selection = select(candidates.ranked, outcomes, balanced, shares_of(balanced, {}))
        balance = write_selection(run, selection)
        return balance, ShardsStage(config.shards, config.seed, only_full=True, but=but, books=run.known.shards)

    def _is_published(self, record: Recorded) -> bool:
        try:
            manifest = read_manifest(self._run.store.url, **dict(self._run.store.options))
        except UserError:
            return False
        return any(entry.generation >= record["generation"] for entry in manifest.shards)

"""What a run has cost so far, by prices that a person gave, and the clips that there are for it."""

from dataclasses import dataclass, field

from manifests.shards import MANIFEST_NAME
from pipeline.engine.run import clock
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store

COUNT_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Prices:
    """In any currency: of an hour of a CPU slot, of an hour of the run beside those, and of a GB (10^9) written."""

    slot_hour: float = 0.0
    run_hour: float = 0.0
    gb_written: float = 0.0


FREE = Prices()


@dataclass(slots=True)
class Spending:
    """The time that slots were there, whether or not they had work; earlier runs' costs come from their status."""

    prices: Prices
    _before: float = 0.0
    _slot_s: float = 0.0
    _run_s: float = 0.0
    _at: float | None = None
    _n_clips: int = 0
    _counted_at: float = field(default=float("-inf"))

    def go_on(self, store: Store) -> None:
        """Takes over what earlier runs in this output directory have cost."""
        if before := read_run_status(store):
            self._before = before.cost

    def pass_time(self, now: float, n_slots: int) -> None:
        """Takes note of the slots at a time, by the driver's clock."""
        passed_s = 0.0 if self._at is None else now - self._at
        self._slot_s, self._run_s, self._at = self._slot_s + n_slots * passed_s, self._run_s + passed_s, now

    def cost(self, n_bytes: int) -> float:
        """The cost so far, given the bytes that this run has written."""
        by_time = self.prices.slot_hour * self._slot_s / 3600 + self.prices.run_hour * self._run_s / 3600
        return round(self._before + by_time + self.prices.gb_written * n_bytes / 1e9, 6)

    def n_clips(self, store: Store) -> int:
        """The clips in the manifest, as of a minute ago; counted only where something has a price."""
        if self.prices != FREE and clock.now() - self._counted_at > COUNT_EVERY_S:
            self._counted_at = clock.now()
            self._n_clips = store.read_json(MANIFEST_NAME)["totals"]["samples"] if store.exists(MANIFEST_NAME) else 0
        return self._n_clips

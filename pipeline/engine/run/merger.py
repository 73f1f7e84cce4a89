"""Merges alongside a run: planned and installed by the driver between units, written by a thread."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pipeline.engine.run import clock
from pipeline.engine.run.lock import RunLock
from pipeline.engine.store.delete_merged import sweep_segments
from pipeline.engine.store.lookup import write_loose
from pipeline.engine.store.merge import Job, MergeSizes, install, plan_merge
from pipeline.engine.store.merge_ids import install_ids, lost_ids, plan_ids, write_ids
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.segments import IdsFile, Segment, read_head
from pipeline.engine.store.store import Store

log = logging.getLogger("hdvila")

LOOK_EVERY_S = 10.0
GROUPS_UNTOLD = 8
"""Most groups of commits that who looks for a video must read one by one."""
SHARE_OF_TELLING = 0.01
"""Most of the time that is spent on writing where the ids of units without a segment are."""


@contextmanager
def merging(store: Store, lock: RunLock, sizes: MergeSizes) -> Iterator["Merger"]:
    """Runs a merger during the block; if the block ends without an error, merges what is still due."""
    merger = Merger(store, lock, sizes)
    try:
        yield merger
        merger.settle()
    finally:
        merger.close()


@dataclass(slots=True)
class Merger:
    """Merges alongside a run. Call `tick` between units; a thread writes each merge."""

    store: Store
    lock: RunLock
    sizes: MergeSizes
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="merge"))
    _running: "_Written | None" = None
    _looked: float = float("-inf")
    _are_ids_there: bool = False
    _n_told: int = 0
    _tell_at: float = float("-inf")

    def tick(self) -> None:
        """Starts a merge that is due and installs a merge that is written. Never blocks."""
        if self._running and self._running.future.done():
            self._install()
        self._tell_loose()
        if self._running or not self.sizes.n_units or clock.now() - self._looked < LOOK_EVERY_S:
            return
        self._look()

    def _tell_loose(self, *, at_last: bool = False) -> None:
        """Writes where the ids of units without a segment are, once enough was committed since."""
        n_untold, started = self.store.commits.n_written - self._n_told, clock.now()
        is_due = n_untold > GROUPS_UNTOLD and started >= self._tell_at
        if self.sizes.n_units and (is_due or (at_last and n_untold)):
            write_loose(self.store.commits)
            self._n_told += n_untold
            self._tell_at = clock.now() + (clock.now() - started) / SHARE_OF_TELLING

    def settle(self) -> None:
        """Merges until nothing is due."""
        self._tell_loose(at_last=True)
        while self.sizes.n_units:
            if self._running:
                self._running.future.result()
                self._install()
            self._look()
            if not self._running:
                return

    def close(self) -> None:
        """Waits for the merge that is being written but does not install it; the next run repeats it."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look(self) -> None:
        self._looked = clock.now()
        self.lock.check()
        sweep_segments(self.store, self.sizes.grace_s)
        apart = replace(self.store)  # a store's caches must not be shared between threads
        if job := plan_merge(self.store, self.sizes):
            written = self._pool.submit(write_segment, apart, job)
            self._running = _Written(written, partial(_segment_installed, self.store, job))
        elif ids := self._due_ids():
            self._running = _Written(self._pool.submit(write_ids, apart, ids), partial(_ids_installed, self.store))

    def _due_ids(self) -> tuple[IdsFile, ...]:
        head, _ = read_head(self.store)
        lost = () if self._are_ids_there else lost_ids(self.store, head)
        self._are_ids_there = True
        return lost or plan_ids(head)

    def _install(self) -> None:
        assert self._running
        written, self._running = self._running, None
        try:
            made = written.future.result()
        except OSError as error:
            log.warning("%s: a merge failed (%s); it is done again later", self.store.url, error)
            return
        self.lock.check()
        if said := written.install(made):
            log.info("%s", said)
            self._looked = float("-inf")  # the next may be due at once


@dataclass(frozen=True, slots=True)
class _Written:
    """A merge that is being written. `install` puts it into the head and returns what was done, "" for nothing."""

    future: "Future[Any]"
    install: Callable[[Any], str]


def _segment_installed(store: Store, job: Job, segment: Segment) -> str:
    said = f"merged {segment.n_units} units of {segment.stage} into one segment of {segment.bytes} bytes"
    return said if install(store, job, segment) else ""


def _ids_installed(store: Store, written: tuple[Sequence[IdsFile], Sequence[IdsFile]]) -> str:
    replaced, made = written
    said = f"merged {len(replaced)} files of ids into {len(made)} of {sum(file.bytes for file in made)} bytes"
    return said if install_ids(store, replaced, made) else ""

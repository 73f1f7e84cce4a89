"""Merges alongside a run: a thread looks for what is due, writes it and puts it into the head. The loop never waits."""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from manifests.lock import RunLock
from pipeline.engine.run import clock
from pipeline.engine.run.memory import return_free_pages
from pipeline.engine.store.delete_merged import sweep_segments
from pipeline.engine.store.lookup import write_loose
from pipeline.engine.store.merge import Job, MergeSizes, install, plan_merge
from pipeline.engine.store.merge_ids import install_ids, lost_ids, plan_ids, write_ids
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.segments import Segment, read_head
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


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged: in words, "" if its sources were gone; and up to which group, by stage, commits are covered."""

    said: str
    covered: Mapping[str, int]


def merge_next(store: Store, lock: RunLock, sizes: MergeSizes, *, after_a_start: bool = False) -> Merged | None:
    """Deletes what was replaced long ago, and merges what is due first; None if nothing is.

    `after_a_start`: also looks whether a file of ids is gone, which only happens between runs.
    """
    lock.check()
    sweep_segments(store, sizes.grace_s)
    lost = lost_ids(store, read_head(store)[0]) if after_a_start else ()
    try:
        due = None if lost else _write_due(store, sizes)
    except FileNotFoundError:  # a part was lost since its folder was listed: now its unit is left out
        due = _write_due(store, sizes)
    if due:
        job, segment = due
        lock.check()
        is_done = install(store, job, segment)
        said = f"merged {segment.n_units} units of {segment.stage} into one segment of {segment.bytes} bytes"
    elif files := lost or plan_ids(read_head(store)[0]):
        replaced, made = write_ids(store, files)
        lock.check()
        is_done = install_ids(store, replaced, made)
        said = f"merged {len(replaced)} files of ids into {len(made)} of {sum(file.bytes for file in made)} bytes"
    else:
        return None
    return_free_pages()
    return Merged(said if is_done else "", read_head(store)[0].covered)


def _write_due(store: Store, sizes: MergeSizes) -> tuple[Job, Segment] | None:
    """The merge that is due first, with its segment."""
    job = plan_merge(store, sizes)
    return (job, write_segment(store, job)) if job else None


@dataclass(slots=True)
class Merger:
    """Merges alongside a run, one merge at a time. Call `tick` between units."""

    store: Store
    lock: RunLock
    sizes: MergeSizes
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="merge"))
    _running: Future[Merged | None] | None = None
    _looked: float = float("-inf")
    _n_begun: int = 0
    _n_told: int = 0
    _tell_at: float = float("-inf")
    _apart: Store = field(init=False)

    def __post_init__(self) -> None:
        self._apart = replace(self.store)  # a store's caches must not be shared between threads

    def tick(self) -> None:
        """Begins to look for a merge now and then, and takes note of one that is done. Never blocks."""
        if self._running and self._running.done():
            try:
                self._end(self._running)
            except OSError as error:
                log.warning("%s: a merge failed (%s); it is done again later", self.store.url, error)
        self._tell_loose()
        if not self._running and self.sizes.n_units and clock.now() - self._looked >= LOOK_EVERY_S:
            self._begin()

    def _tell_loose(self, *, at_last: bool = False) -> None:
        """Writes where the ids of units without a segment are, once enough was committed since."""
        n_untold, started = self.store.commits.n_written - self._n_told, clock.now()
        is_due = n_untold > GROUPS_UNTOLD and started >= self._tell_at
        if self.sizes.n_units and (is_due or (at_last and n_untold)):
            write_loose(self.store.commits)
            self._n_told += n_untold
            self._tell_at = clock.now() + (clock.now() - started) / SHARE_OF_TELLING

    def settle(self) -> None:
        """Merges until nothing is due. Raises what a merge raises."""
        self._tell_loose(at_last=True)
        while self.sizes.n_units and self._end(self._running or self._begin()):
            pass

    def close(self) -> None:
        """Waits for the merge under way; what was not put into the head is merged again by the next run."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> Future[Merged | None]:
        self._looked, self._n_begun = clock.now(), self._n_begun + 1
        is_first = self._n_begun == 1
        self._running = self._pool.submit(merge_next, self._apart, self.lock, self.sizes, after_a_start=is_first)
        return self._running

    def _end(self, running: Future[Merged | None]) -> bool:
        """Waits for what was begun; returns whether a merge was due. Raises what it raised."""
        self._running = None
        merged = running.result()
        if merged:
            self.store.commits.let_go(merged.covered)
            self._looked = float("-inf")  # the next may be due at once
        if merged and merged.said:
            log.info("%s", merged.said)
        return merged is not None

"""Batches by position: what a step reads depends only on (index, seed, step), not on workers or earlier interruptions.

The main process plans (train.data.plan) and sends *tickets* to the workers: a position in the order, the sample at that
position, and spare samples. A worker reads and decodes. So the position in the data is one number, the step, and a
resumed run starts there without reading what came before. Augmentation draws from (seed, epoch, position).

A sample that cannot be used (damaged media, empty caption, unreadable shard) doesn't shrink the batch: the first usable
spare takes its position (spares are the samples half an epoch further on). It is counted and kept in `Loaded.lost`; too
many stop the run, which names them. If a decoder crashes its worker process, the workers start again at the same step;
if the same sample is involved in a second crash, it is written to the run's list of poisoned samples, and its spare is
used from then on. A decoder that hangs for TIMEOUT_S counts as a crash. If a worker is killed from outside, or
because /dev/shm or memory is full (SIGKILL, SIGBUS), its sample is not to blame: the step is tried again, and after
`MAX_KILLED` times in a row the run ends with a message.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from manifests.errors import UserError
from manifests.time_left import told
from train.data.decode import SampleBroken
from train.data.index import Index
from train.data.plan import Stream, rank_slice
from train.data.read import Reader, ShardUnreadable
from train.data.registry import SampleView, Seen, Source
from train.data.workers import (
    MAX_KILLED,
    NOT_THE_SAMPLES,
    POISONED,
    WORKER_ERRORS,
    Workers,
    dead_workers,
    end_workers,
    ignore_stop_signals,
    killed_from_outside,
    started,
)
from train.distributed import rank_in
from train.rows import Rows, joined

TIMEOUT_S = 300.0
"""Longest time that a worker may spend on a sample: far beyond any decoding, so that what exceeds it hangs."""
N_SPARES = 4
TEXT_DRAW = 1
"""What the draw of a text is seeded with beside its position, so that it doesn't share the stream of the pictures."""
MOST_IN_FLIGHT = 16
"""Most samples that a worker reads from an object store at the same time."""
MOST_NAMED = 10
"""Most unusable samples that a message names."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request to a worker: load the sample of a position, or else the first usable spare."""

    epoch: int
    position: int
    sample: int
    spares: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A sample that could not be used. `shard` is its shard's url if the whole shard was unreadable, else ""."""

    key: str
    reason: str
    shard: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rank's share of a step, or a part of it."""

    tensors: Rows
    """The tensors that the view made of the samples; pictures also as attributes: `loaded.img_middle`."""
    texts: list[str]
    keys: list[str]
    samples: list[int]  # sample numbers: rows of the index
    positions: list[int]  # within their epoch
    lost: list[Lost] = field(default_factory=list)

    def cut(self, size: int) -> tuple[Loaded, Loaded]:
        """(the first `size` clips, the rest); `lost` goes with the first part."""
        first, rest = slice(size), slice(size, None)
        return self._part(first, self.lost), self._part(rest, [])

    def _part(self, clips: slice, lost: list[Lost]) -> Loaded:
        lists = (self.texts[clips], self.keys[clips], self.samples[clips], self.positions[clips])
        return Loaded(self.tensors[clips], *lists, lost)

    def __getattr__(self, name: str) -> Any:
        # Pictures that the view doesn't have are None; any other missing name is a mistake.
        if name.startswith("img_"):
            return self.tensors.get(name)
        raise AttributeError(name)


class ClipDataset(Dataset):  # type: ignore[type-arg]
    """Maps tickets to decoded samples; runs in the workers and has no position in the order."""

    def __init__(
        self,
        index: Index,
        view: SampleView,
        source: Source,
        *,
        seed: int | None,
        n_workers: int = 0,
        timeout_s: float = TIMEOUT_S,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.index, self.view, self.source, self._seed = index, view, source, seed
        self._timeout_s = timeout_s
        self.storage_options = dict(storage_options or {})
        self._reader = Reader(index, storage_options)
        self._coming: dict[int, Future[dict[str, bytes]]] = {}
        #: (process id, sample) per worker, sample -1 for none: read by the main process when a worker dies.
        self.on_hand = torch.full((max(n_workers, 1), 2), -1, dtype=torch.int64)
        self.on_hand.share_memory_()

    def __getitem__(self, ticket: Ticket) -> Loaded:
        """One sample as a `Loaded` with B=1, or with B=0 if neither it nor a spare is usable."""
        if torch.utils.data.get_worker_info() is not None:
            # If a read or a decoder hangs, even in C code, this ends the worker, which is then handled as a crash.
            faulthandler.dump_traceback_later(self._timeout_s, exit=True)
        loaded = self._first_usable(ticket)
        faulthandler.cancel_dump_traceback_later()
        return loaded

    def __getitems__(self, tickets: Sequence[Ticket]) -> list[Loaded]:
        """A chunk of samples; from an object store, all are requested at once, and decoded in order as they arrive."""
        if not self._reader.is_remote or len(tickets) < 2:
            return [self[ticket] for ticket in tickets]
        extensions = self.view.members(self.source)
        with ThreadPoolExecutor(MOST_IN_FLIGHT) as pool:
            for ticket in tickets:
                self._coming[ticket.sample] = pool.submit(self._reader.read, ticket.sample, extensions)
            try:
                return [self[ticket] for ticket in tickets]
            finally:
                self._coming.clear()

    def held_by(self, pids: Collection[int]) -> list[str]:
        """The keys of the samples that these workers were loading."""
        return [self.index.key(int(sample)) for pid, sample in self.on_hand.tolist() if pid in pids and sample >= 0]

    def _members(self, sample: int) -> Mapping[str, bytes]:
        coming = self._coming.pop(sample, None)
        return coming.result() if coming else self._reader.read(sample, self.view.members(self.source))

    def _first_usable(self, ticket: Ticket) -> Loaded:
        lost: list[Lost] = []
        for sample in (ticket.sample, *ticket.spares):
            try:
                return replace(self._load(ticket, sample), lost=lost)
            except SampleBroken as error:
                lost.append(Lost(self.index.key(sample), str(error)))
            except ShardUnreadable as error:
                lost.append(Lost(self.index.key(sample), str(error), shard=error.url))
        return replace(nothing(self.view), lost=lost)

    def _load(self, ticket: Ticket, sample: int) -> Loaded:
        worker = torch.utils.data.get_worker_info()
        slot = self.on_hand[worker.id if worker else 0]
        slot[0], slot[1] = os.getpid(), sample
        draw = None if self._seed is None else np.random.default_rng((self._seed, ticket.epoch, ticket.position))
        members = self._members(sample)
        seen = self.view.decode(members, self.source, draw)
        slot[1] = -1
        if self.index.texts:
            seen = replace(seen, text=self._text_of(sample, ticket))
        return loaded_of(seen, self.index.key(sample), sample, ticket.position)

    def _text_of(self, sample: int, ticket: Ticket) -> str:
        """One of the sample's given texts: drawn by the position, whatever decoding drew; the first in evaluation."""
        texts = self.index.texts[sample]
        if self._seed is None:
            return texts[0]
        draw = np.random.default_rng((self._seed, ticket.epoch, ticket.position, TEXT_DRAW))
        return texts[int(draw.integers(len(texts)))]


def loaded_of(seen: Seen, key: str, sample: int, position: int) -> Loaded:
    """A decoded sample as a `Loaded` with one row."""
    rows = Rows({name: torch.from_numpy(array)[None] for name, array in seen.arrays.items()})
    return Loaded(rows, [seen.text], [key], [sample], [position])


def nothing(view: SampleView) -> Loaded:
    """A `Loaded` with no rows."""
    return Loaded(blank_rows(view)[:0], [], [], [], [])


def blank_rows(view: SampleView) -> Rows:
    """One blank row of a view."""
    return Rows({name: torch.from_numpy(array)[None] for name, array in view.blank().items()})


def join(parts: Sequence[Loaded]) -> Loaded:
    """Joins parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return Loaded(
        joined([p.tensors for p in parts]),
        [x for p in parts for x in p.texts],
        [x for p in parts for x in p.keys],
        [x for p in parts for x in p.samples],
        [x for p in parts for x in p.positions],
        [x for p in parts for x in p.lost],
    )


class PlannedLoader:
    """The steps of a rank, starting at any step: `for loaded in loader.steps(first, stop)`."""

    def __init__(
        self,
        dataset: ClipDataset,
        stream: Stream,
        *,
        rank: int = 0,
        world: int = 1,
        workers: Workers | None = None,
        run_dir: Path | None = None,
    ) -> None:
        self._dataset, self._stream, self._rank, self._world = dataset, stream, rank, world
        self._workers = workers or Workers()
        self._poison_file = run_dir / POISONED if run_dir else None
        self._poisoned = _read_poisoned(self._poison_file)
        self._suspects: set[int] = set()

    def steps(self, first: int, stop: int) -> Iterator[Loaded]:
        """Yields this rank's share of steps first … stop-1. UserError if workers keep being killed or die idle."""
        step, killed = first, 0
        while step < stop:
            chunks = self._chunks(range(step, stop))
            try:
                for loaded in self._steps_of(chunks, range(step, stop)):
                    yield loaded
                    step, killed = step + 1, 0
            except WORKER_ERRORS as error:
                deaths = dead_workers(error, chunks)
                end_workers(getattr(chunks, "_workers", ()))
                if all(code in NOT_THE_SAMPLES for code in deaths.values()):
                    killed += 1
                    if killed >= MAX_KILLED:
                        most = self._workers.max_shm_bytes(self._dataset.view, self._stream.batch // self._world)
                        raise UserError(killed_from_outside(deaths, self._dataset.held_by(deaths), most)) from None
                else:
                    self._suspect({pid for pid, code in deaths.items() if code not in NOT_THE_SAMPLES})

    def _chunks(self, steps: range) -> Iterator[Loaded]:
        """Starts the workers; yields their chunks in order."""
        w = self._workers
        loader: DataLoader[Loaded] = DataLoader(
            self._dataset,
            batch_sampler=_Tickets(self, steps),
            collate_fn=join,
            num_workers=w.count,
            prefetch_factor=w.chunks_ahead(self._stream.batch // self._world) if w.count else None,
            worker_init_fn=ignore_stop_signals,
            generator=torch.Generator(),  # starting draws a number, which must not come from dropout's generator
        )
        return started(loader)

    def _steps_of(self, chunks: Iterator[Loaded], steps: range) -> Iterator[Loaded]:
        for step in steps:
            tickets = self.tickets(step)
            loaded = join([next(chunks) for _ in range(-(-len(tickets) // self._workers.chunk))])
            if len(loaded.keys) < len(tickets):
                raise UserError(f"step {step}: {unusable(loaded.lost, len(loaded.keys))}")
            yield loaded

    def tickets(self, step: int) -> list[Ticket]:
        """The tickets for what this rank reads at a step."""
        positions = rank_slice(range(sys.maxsize), step, self._rank, self._world, self._stream.batch)
        return [self._ticket(int(position)) for position in positions]

    def _ticket(self, position: int) -> Ticket:
        epoch, inside = self._stream.locate(position)
        order = self._stream.order(epoch)
        spares = [order.at(at) for at in self._spare_places(position, inside, len(order))]
        usable = [s for s in (order.at(inside), *spares) if s not in self._poisoned]
        if not usable:
            raise UserError(
                f"position {position}: its sample and all spares crash the decoder; see {self._poison_file}"
            )
        return Ticket(epoch, inside, usable[0], tuple(usable[1:]))

    def _spare_places(self, position: int, inside: int, length: int) -> list[int]:
        """Places of the epoch whose samples stand in for one: half an epoch on, and after its own batch, in which a
        sample would be contrasted with itself.
        """
        begin = inside - position % self._stream.batch
        own = range(begin, begin + self._stream.batch)
        start = inside + max(length // 2, 1)
        if start % length in own:
            start = own.stop
        return [(start + k) % length for k in range(N_SPARES)]

    def _suspect(self, pids: set[int]) -> None:
        """Suspects the samples that dead workers were loading; a sample that was suspected before is poisoned."""
        on_hand = {int(sample) for pid, sample in self._dataset.on_hand.tolist() if pid in pids and sample >= 0}
        if not on_hand - self._poisoned:
            raise UserError("a data worker died while idle: look at this machine's log (dmesg)")
        new = on_hand & self._suspects
        self._suspects |= on_hand
        self._poisoned |= new
        if new and self._poison_file is not None:
            with self._poison_file.open("a") as file:
                file.writelines(f"{sample}\n" for sample in sorted(new))


def unusable(lost: Sequence[Lost], n_good: int) -> str:
    """A short message about why no sample could be used for a position, however many failed.

    `n_good` samples of the same step could be used: then the data is damaged, and not the installation.
    """
    reasons = Counter(loss.reason for loss in lost)
    if len(reasons) == 1 and not n_good and len(lost) > N_SPARES and not lost[0].shard:
        return (
            f"all {len(lost)} samples that were tried fail alike, the first is {lost[0].key}: {lost[0].reason}\n"
            "Data that is damaged here and there does not fail so; look at the installation (`pip check`) and the "
            "manifest's versions."
        )
    share = f"{len(lost) / (len(lost) + n_good):.0%} of the {len(lost) + n_good} samples that were tried are unusable, "
    shown = [f"{loss.key}: {loss.reason}" for loss in lost[:MOST_NAMED]]
    more = [f"… and {len(lost) - MOST_NAMED} more"] if len(lost) > MOST_NAMED else []
    return f"{share}and a position has neither a usable sample nor a usable spare:\n  " + "\n  ".join([*shown, *more])


def read_once(dataset: ClipDataset, samples: Sequence[int], n_workers: int, chunk: int) -> Iterator[Loaded]:
    """Yields these samples in order, in chunks and without spares, for evaluation. Lost ones are left out (`lost`)."""
    tickets = [Ticket(0, position, int(sample)) for position, sample in enumerate(samples)]
    chunks = [tickets[at : at + chunk] for at in range(0, len(tickets), chunk)]
    loader = DataLoader(
        dataset, batch_sampler=chunks, collate_fn=join, num_workers=n_workers, worker_init_fn=ignore_stop_signals
    )
    loaded = started(loader)
    try:
        yield from told(loaded, len(tickets), "samples", each=chunk) if rank_in() == 0 else loaded
    except WORKER_ERRORS as error:
        deaths = dead_workers(error, loaded)
        most = Workers(n_workers, chunk).max_shm_bytes(dataset.view, n_workers * chunk)
        raise UserError(killed_from_outside(deaths, dataset.held_by(deaths), most)) from None


@dataclass(slots=True)
class _Tickets:
    """The batch sampler of a DataLoader: one list of tickets per chunk."""

    loader: PlannedLoader
    steps: range

    def __iter__(self) -> Iterator[list[Ticket]]:
        size = self.loader._workers.chunk
        for step in self.steps:
            tickets = self.loader.tickets(step)
            yield from (tickets[at : at + size] for at in range(0, len(tickets), size))


def _read_poisoned(path: Path | None) -> set[int]:
    if path is None or not path.exists():
        return set()
    return {int(line) for line in path.read_text().split()}

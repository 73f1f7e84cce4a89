"""Batches by position: what a step reads is a function of (index, seed, step), never of workers or of how a run got
there.

The main process plans (train.data.plan) and sends *tickets* to the workers: a position in the order, the sample that
stands there, and the spares for it. A worker reads and decodes. Position is therefore one number, the step, and a
resume starts at it without reading what came before. Augmentation draws from (seed, epoch, position).

A sample that cannot be used (damaged media, empty caption, unreadable shard) costs its position, not the batch: the
position is taken by the first usable spare, the samples half an epoch further on. It is counted, kept in `Loaded.lost`,
and too many stop the run with their names. Should a decoder take its whole worker process down, the workers start
again at the same step; a second death on the same sample writes it to the run's list of poisoned samples, and its spare
is used. A decoder that hangs for `data.timeout_s` is treated alike. A worker that is killed from outside, or by a full
/dev/shm or memory (SIGKILL, SIGBUS), says nothing of its sample: the step is tried again, and after `MAX_KILLED` times
in a row the run ends with a message, and nothing is held against a sample.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import re
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from manifests.errors import UserError
from train.data.decode import SampleBroken
from train.data.index import Index
from train.data.plan import Stream, rank_slice
from train.data.read import Reader, ShardUnreadable
from train.data.registry import SampleView, Seen, Source
from train.rows import Rows, joined

N_SPARES = 4
MOST_IN_FLIGHT = 16
"""Samples that a worker reads from an object store at the same time."""
MOST_NAMED = 10
"""Unusable samples that one message names."""
POISONED = "poisoned.txt"
MAX_KILLED = 3
"""Times in a row that workers may be killed from outside before the run ends."""
NOT_THE_SAMPLES = frozenset({-signal.SIGKILL, -signal.SIGBUS, -signal.SIGTERM})
"""Exit codes of workers that say nothing of what they decoded: the out-of-memory killer, a full /dev/shm, a person."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a worker is asked for: the sample of a position, else the first usable spare."""

    epoch: int
    position: int
    sample: int
    spares: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A sample that gave no input. `shard` is its shard's url where the shard itself was unreadable, else ""."""

    key: str
    reason: str
    shard: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rank's share of one step."""

    tensors: Rows
    """What the view made of the samples; also as attributes: `loaded.img_middle`."""
    texts: list[str]
    keys: list[str]
    samples: list[int]  # numbers into the index
    positions: list[int]  # within their epoch
    lost: list[Lost] = field(default_factory=list)

    def cut(self, size: int) -> tuple[Loaded, Loaded]:
        """The first `size` clips, and the rest; what was lost goes with the first."""
        first, rest = slice(size), slice(size, None)
        return self._part(first, self.lost), self._part(rest, [])

    def _part(self, clips: slice, lost: list[Lost]) -> Loaded:
        lists = (self.texts[clips], self.keys[clips], self.samples[clips], self.positions[clips])
        return Loaded(self.tensors[clips], *lists, lost)

    def __getattr__(self, name: str) -> Any:
        # Pictures that the view doesn't take are None; anything else is a mistake.
        if name.startswith("img_"):
            return self.tensors.get(name)
        raise AttributeError(name)


class ClipDataset(Dataset):  # type: ignore[type-arg]
    """Map from tickets to decoded samples; runs in the workers, holds no position."""

    def __init__(
        self,
        index: Index,
        view: SampleView,
        source: Source,
        *,
        seed: int | None,
        n_workers: int = 0,
        timeout_s: float = 300.0,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.index, self.view, self.source, self._seed = index, view, source, seed
        self._timeout_s = timeout_s
        self._reader = Reader(index, storage_options)
        self._coming: dict[int, Future[dict[str, bytes]]] = {}
        #: The sample each worker is on, -1 for none: what the main process reads when a worker dies.
        self.on_hand = torch.full((max(n_workers, 1), 2), -1, dtype=torch.int64)
        self.on_hand.share_memory_()

    def __getitem__(self, ticket: Ticket) -> Loaded:
        """One sample as a `Loaded` with B=1, or with B=0 where neither it nor a spare is usable."""
        if torch.utils.data.get_worker_info() is not None:
            # A read or a decoder that hangs, in C code too, ends the worker, and is answered as a crash.
            faulthandler.dump_traceback_later(self._timeout_s, exit=True)
        loaded = self._first_usable(ticket)
        faulthandler.cancel_dump_traceback_later()
        return loaded

    def __getitems__(self, tickets: Sequence[Ticket]) -> list[Loaded]:
        """A chunk of them; from an object store all are on their way while the first ones are being decoded."""
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
        return loaded_of(seen, self.index.key(sample), sample, ticket.position)


def loaded_of(seen: Seen, key: str, sample: int, position: int) -> Loaded:
    """A decoded sample as a share of one."""
    rows = Rows({name: torch.from_numpy(array)[None] for name, array in seen.arrays.items()})
    return Loaded(rows, [seen.text], [key], [sample], [position])


def ignore_stop_signals(worker: int) -> None:
    """Worker start. SIGTERM and Ctrl-C reach the whole process group; the main process decides what they mean."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_living: WeakSet[Any] = WeakSet()
"""Workers' processes. They are deaf to SIGTERM, by which Python would end them at its own end, and wait for ever."""


def end_workers(workers: Iterable[Any]) -> None:
    """End these at once: they hold nothing that would be lost."""
    for worker in list(workers):
        worker.kill()


atexit.register(end_workers, _living)


def started(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's iterator, its workers at work.

    torch would raise a worker's death from its signal handler, in the middle of whatever runs; without the handler the
    same error comes out of the next read, where it can be answered.
    """
    before = signal.getsignal(signal.SIGCHLD)
    chunks = iter(loader)
    _living.update(getattr(chunks, "_workers", ()))
    if threading.current_thread() is threading.main_thread() and _is_torchs(signal.getsignal(signal.SIGCHLD)):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None or _is_torchs(before) else before)
    return chunks


def _is_torchs(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("torch.utils.data")


def nothing(view: SampleView) -> Loaded:
    """A share of no samples."""
    return Loaded(blank_rows(view)[:0], [], [], [], [])


def blank_rows(view: SampleView) -> Rows:
    """One row of zeros."""
    return Rows({name: torch.from_numpy(array)[None] for name, array in view.blank().items()})


def join(parts: Sequence[Loaded]) -> Loaded:
    """Parts in order as one."""
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


def _joined(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """One tensor of all parts; None where they have none."""
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None


@dataclass(frozen=True, slots=True)
class Workers:
    """How reading is spread in this process's workers; changes speed only."""

    count: int = 0
    chunk: int = 4
    """Samples a worker is asked for at a time."""
    prefetch: int = 2
    """Steps that they are asked for ahead, all together."""

    def chunks_ahead(self, n_rows: int) -> int:
        """Chunks that each worker is asked for ahead, of a share of `n_rows` a step."""
        return max(1, -(-self.prefetch * -(-n_rows // self.chunk) // max(self.count, 1)))

    def shm_bytes(self, view: SampleView, n_rows: int) -> int:
        """Most that they may hold in shared memory: the chunks asked for ahead and the one in the making."""
        row = sum(array.nbytes for array in view.blank().values())
        return self.count * (self.chunks_ahead(n_rows) + 1) * self.chunk * row


class PlannedLoader:
    """Steps of one rank, from any step on: `for loaded in loader.steps(first, stop)`."""

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
        self._poison_file = run_dir / _poison_name(stream, dataset.index) if run_dir else None
        self._poisoned = _read_poisoned(self._poison_file)
        self._suspects: set[int] = set()

    def steps(self, first: int, stop: int) -> Iterator[Loaded]:
        """This rank's share of steps first … stop-1, in order. Raises UserError where a worker dies without a cause."""
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
                        n_rows = self._stream.batch // self._world
                        raise UserError(killed_from_outside(deaths, self._workers, self._dataset, n_rows)) from None
                else:
                    self._suspect({pid for pid, code in deaths.items() if code not in NOT_THE_SAMPLES})

    def _chunks(self, steps: range) -> Iterator[Loaded]:
        """Chunk after chunk through the workers."""
        w = self._workers
        loader: DataLoader[Loaded] = DataLoader(
            self._dataset,
            batch_sampler=_Tickets(self, steps),
            collate_fn=join,
            num_workers=w.count,
            prefetch_factor=w.chunks_ahead(self._stream.batch // self._world) if w.count else None,
            worker_init_fn=ignore_stop_signals,
            generator=torch.Generator(),  # a start draws a number: not from the one that dropout draws from
        )
        return started(loader)

    def _steps_of(self, chunks: Iterator[Loaded], steps: range) -> Iterator[Loaded]:
        for step in steps:
            tickets = self.tickets(step)
            loaded = join([next(chunks) for _ in range(-(-len(tickets) // self._workers.chunk))])
            if len(loaded.keys) < len(tickets):
                raise UserError(f"step {step}: {unusable(loaded.lost)}")
            yield loaded

    def tickets(self, step: int) -> list[Ticket]:
        """What this rank reads at a step."""
        positions = rank_slice(range(sys.maxsize), step, self._rank, self._world, self._stream.batch)
        return [self._ticket(int(position)) for position in positions]

    def _ticket(self, position: int) -> Ticket:
        epoch, inside = self._stream.locate(position)
        order = self._stream.order(epoch)
        half = max(len(order) // 2, 1)
        ahead = [order.at((inside + half + k) % len(order)) for k in range(N_SPARES)]
        usable = [s for s in (order.at(inside), *ahead) if s not in self._poisoned]
        if not usable:
            raise UserError(
                f"position {position}: its sample and all spares crash the decoder; see {self._poison_file}"
            )
        return Ticket(epoch, inside, usable[0], tuple(usable[1:]))

    def _suspect(self, pids: set[int]) -> None:
        """Note the samples that dead workers were on; the second death on one blames it."""
        on_hand = {int(sample) for pid, sample in self._dataset.on_hand.tolist() if pid in pids and sample >= 0}
        if not on_hand - self._poisoned:
            raise UserError("a data worker died while idle: look at this machine's log (dmesg)")
        new = on_hand & self._suspects
        self._suspects |= on_hand
        self._poisoned |= new
        if new and self._poison_file is not None:
            with self._poison_file.open("a") as file:
                file.writelines(f"{sample}\n" for sample in sorted(new))


def unusable(lost: Sequence[Lost]) -> str:
    """Why a position stays empty, in a few lines however many samples failed."""
    reasons = Counter(loss.reason for loss in lost)
    if len(reasons) == 1 and len(lost) > N_SPARES and not lost[0].shard:
        return (
            f"all {len(lost)} samples that were tried fail alike, the first is {lost[0].key}: {lost[0].reason}\n"
            "Data that is damaged here and there does not fail so; look at the installation (`pip check`) and the "
            "manifest's versions."
        )
    shown = [f"{loss.key}: {loss.reason}" for loss in lost[:MOST_NAMED]]
    more = [f"… and {len(lost) - MOST_NAMED} more"] if len(lost) > MOST_NAMED else []
    return "a position has neither a usable sample nor a usable spare:\n  " + "\n  ".join([*shown, *more])


def read_once(dataset: ClipDataset, samples: Sequence[int], n_workers: int, chunk: int) -> Iterator[Loaded]:
    """These samples in order, in chunks, without spares: for evaluation. Lost ones are left out and reported."""
    tickets = [Ticket(0, position, int(sample)) for position, sample in enumerate(samples)]
    chunks = [tickets[at : at + chunk] for at in range(0, len(tickets), chunk)]
    loader = DataLoader(
        dataset,
        batch_sampler=chunks,
        collate_fn=join,
        num_workers=n_workers,
        worker_init_fn=ignore_stop_signals,
    )
    loaded = started(loader)
    try:
        yield from loaded
    except WORKER_ERRORS as error:
        deaths = dead_workers(error, loaded)
        raise UserError(killed_from_outside(deaths, Workers(n_workers, chunk), dataset, n_workers * chunk)) from None


@dataclass(slots=True)
class _Tickets:
    """The batch sampler of a DataLoader: lists of tickets, a chunk each."""

    loader: PlannedLoader
    steps: range

    def __iter__(self) -> Iterator[list[Ticket]]:
        size = self.loader._workers.chunk
        for step in self.steps:
            tickets = self.loader.tickets(step)
            yield from (tickets[at : at + size] for at in range(0, len(tickets), size))


def _poison_name(stream: Stream, index: Index) -> str:
    """The file of poisoned samples: their numbers are those of one index, so a grown one has its own."""
    return POISONED if not stream.first_step else POISONED.replace(".", f"-{index.manifest.sha256[:12]}.")


def _read_poisoned(path: Path | None) -> set[int]:
    if path is None or not path.exists():
        return set()
    return {int(line) for line in path.read_text().split()}


WORKER_ERRORS = (RuntimeError, ConnectionError, EOFError)
"""What the death of a worker shows as: torch's own error, or a line that went dead while a sample came through it."""


def dead_workers(error: Exception, chunks: Any) -> dict[int, int]:
    """{process id: exit code, negative for a signal} of workers that died; any other error goes on.

    A full /dev/shm shows as a worker's own error where it isn't a signal: it counts as killed from outside.
    """
    if isinstance(error, ConnectionError | EOFError):
        for worker in getattr(chunks, "_workers", ()):
            worker.join(timeout=0.5)  # its line goes before it does
        codes = {w.pid: w.exitcode for w in getattr(chunks, "_workers", ()) if w.exitcode}
        if not codes:
            raise error
        return codes
    if "No space left on device" in str(error) or "out of shared memory" in str(error):
        return {0: -signal.SIGBUS}
    found = re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)", str(error))
    if found is None:
        raise error
    codes = {worker.pid: worker.exitcode for worker in getattr(chunks, "_workers", [])}
    return {int(pid): codes.get(int(pid)) or 1 for pid in found[1].split(",")}


def killed_from_outside(deaths: Mapping[int, int], workers: Workers, dataset: ClipDataset, n_rows: int) -> str:
    """What to look at where workers die of something that isn't their samples'."""
    names = ", ".join(sorted({signal.Signals(-code).name for code in deaths.values() if code < 0}))
    held = [dataset.index.key(int(sample)) for pid, sample in dataset.on_hand.tolist() if pid in deaths and sample >= 0]
    free, whole = shm_bytes()
    held_gib = workers.shm_bytes(dataset.view, n_rows) / 2**30
    return (
        f"data workers were killed {MAX_KILLED} times in a row ({names}); nothing is held against a sample. Either\n"
        f"  /dev/shm is full: {free / 2**30:.1f} of {whole / 2**30:.1f} GiB are free, the workers of one rank may hold "
        f"{held_gib:.1f} GiB (docker: --shm-size; or less data.workers, data.prefetch, "
        "data.chunk), or\n"
        "  memory ran out (dmesg names the out-of-memory killer; fewer data.workers), or someone killed them.\n"
        f"They were on {', '.join(held) or 'no sample'}; should it always be the same one, write its number into "
        f"{POISONED} of the run."
    )


def shm_bytes() -> tuple[int, int]:
    """(free, total) bytes of the shared memory through which workers pass samples; (0, 0) where there is none."""
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:
        return 0, 0
    return usage.free, usage.total

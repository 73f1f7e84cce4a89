"""Worker processes of a loader: how much they prefetch, how they start and end, and what their deaths mean."""

import atexit
import re
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from torch.utils.data import DataLoader

from train.data.registry import SampleView

POISONED = "poisoned.txt"
"""A run's list of samples that are not tried again (file name)."""
MAX_KILLED = 3
"""The run ends after workers were killed from outside this many times in a row."""
MOST_LOOKS = 10
"""Times that all workers are looked at, half a second each, for the one whose connection broke."""
NOT_THE_SAMPLES = frozenset({-signal.SIGKILL, -signal.SIGBUS, -signal.SIGTERM})
"""Exit codes that don't incriminate the decoded sample: the out-of-memory killer, a full /dev/shm, a person."""
WORKER_ERRORS = (RuntimeError, ConnectionError, EOFError)
"""Errors that the death of a worker causes: torch's own, or a connection that broke while a sample was sent."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How reading is distributed over this process's workers; affects only the speed."""

    count: int = 0
    chunk: int = 4
    """Samples that a worker is asked for at a time: from an object store it requests them together."""
    prefetch: int = 2
    """Steps that all workers together prefetch."""

    def chunks_ahead(self, n_rows: int) -> int:
        """Chunks that each worker prefetches, if this rank's share of a step is `n_rows`."""
        return max(1, -(-self.prefetch * -(-n_rows // self.chunk) // max(self.count, 1)))

    def max_shm_bytes(self, view: SampleView, n_rows: int) -> int:
        """Most bytes that the workers may hold in shared memory: prefetched chunks, and the chunk being made."""
        row = sum(array.nbytes for array in view.blank().values())
        return self.count * (self.chunks_ahead(n_rows) + 1) * self.chunk * row


def ignore_stop_signals(worker: int) -> None:
    """Called at a worker's start: SIGTERM, a closed terminal and Ctrl-C reach all processes, but the main one decides
    what they mean.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


_living: WeakSet[Any] = WeakSet()
"""Processes of workers. They ignore SIGTERM, so Python, which ends them with it at exit, would wait forever."""


def end_workers(workers: Iterable[Any]) -> None:
    """Kills these workers at once: they hold nothing that could be lost."""
    for worker in list(workers):
        worker.kill()


atexit.register(end_workers, _living)


def started(loader: DataLoader[Any]) -> Iterator[Any]:
    """Starts the loader's workers; returns its iterator.

    torch would raise a worker's death from its signal handler, in the middle of whatever is running; without the
    handler, the next read raises the same error, where it can be handled.
    """
    before = signal.getsignal(signal.SIGCHLD)
    chunks = iter(loader)
    _living.update(getattr(chunks, "_workers", ()))
    if threading.current_thread() is threading.main_thread() and _is_torchs(signal.getsignal(signal.SIGCHLD)):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None or _is_torchs(before) else before)
    return chunks


def _is_torchs(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("torch.utils.data")


def dead_workers(error: Exception, chunks: Any) -> dict[int, int]:
    """{process id: exit code, negative for a signal} of workers that died; re-raises any other error.

    A full /dev/shm may also appear as an error in a worker rather than a signal: it counts as killed from outside.
    """
    if isinstance(error, ConnectionError | EOFError):
        workers = getattr(chunks, "_workers", ())
        for _ in range(MOST_LOOKS):  # its connection breaks before it has exited, on a busy machine long before
            for worker in workers:
                worker.join(timeout=0.5)
            codes = {w.pid: w.exitcode for w in workers if w.exitcode}
            if codes:
                return codes
        raise error
    if "No space left on device" in str(error) or "out of shared memory" in str(error):
        return {0: -signal.SIGBUS}
    match = re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)", str(error))
    if match is None:
        raise error
    codes = {worker.pid: worker.exitcode for worker in getattr(chunks, "_workers", [])}
    return {int(pid): codes.get(int(pid)) or 1 for pid in match[1].split(",")}


def killed_from_outside(deaths: Mapping[int, int], held: Sequence[str], most_bytes: int) -> str:
    """A message about what to check when workers die for reasons other than their samples.

    `held` are the keys of the samples that they were loading, `most_bytes` what they may hold in shared memory.
    """
    names = ", ".join(sorted({signal.Signals(-code).name for code in deaths.values() if code < 0}))
    free, whole = free_and_total_shm()
    return (
        f"data workers were killed {MAX_KILLED} times in a row ({names}); nothing is held against a sample. Either\n"
        f"  /dev/shm is full: {free / 2**30:.1f} of {whole / 2**30:.1f} GiB are free, the workers of one rank may hold "
        f"{most_bytes / 2**30:.1f} GiB (docker: --shm-size; or less data.workers), or\n"
        "  memory ran out (dmesg names the out-of-memory killer; fewer data.workers), or someone killed them.\n"
        f"They were on {', '.join(held) or 'no sample'}; should it always be the same one, write its number into "
        f"{POISONED} of the run."
    )


def free_and_total_shm() -> tuple[int, int]:
    """(free, total) bytes of the shared memory through which workers pass samples; (0, 0) if there is none."""
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:
        return 0, 0
    return usage.free, usage.total

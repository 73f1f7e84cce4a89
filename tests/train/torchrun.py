"""Commands on several ranks of this machine, each with one thread: started by torchrun, or forked, which costs less.

Forked ones come from a server that has imported the trainer: of a short run, importing torch is most of the work.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil

from tests.conftest import REPO

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["train.cli", "train.loop.fit", "tests.train.model_cases", "torch._dynamo", "torch.distributed.fsdp", "pandas"]
)


class Ranks:
    """Processes that each run a script, or `-m MODULE`, and append what they print to a log. One has no ranks."""

    def __init__(
        self, world: int, words: tuple[str, ...], log: Path, more: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`more`: environment variables."""
        self._processes = [
            FORKS.Process(target=_run, args=({**environment, **more}, words, str(log)))
            for environment in _environments(world)
        ]
        for process in self._processes:
            process.start()

    def poll(self) -> int | None:
        """The first exit code that is not 0, or 0; None while one of them runs."""
        codes = [process.exitcode for process in self._processes]
        return None if None in codes else next((code for code in codes if code), 0)

    def wait(self, timeout: float) -> int:
        """Their exit code, as `poll` gives it. Raises TimeoutError."""
        ends_at = time.monotonic() + timeout
        for process in self._processes:
            process.join(max(0.0, ends_at - time.monotonic()))
        code = self.poll()
        if code is None:
            self.send_signal(signal.SIGKILL)
            raise TimeoutError(f"still running after {timeout:.0f} s")
        return code

    def send_signal(self, number: int) -> None:
        """Sends it to each that still runs; SIGKILL also to its loader's workers, which hold the lock of its folder."""
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                there = psutil.Process(process.pid)
                started = there.children(recursive=True) if number == signal.SIGKILL else []
                for one in (there, *started):
                    one.send_signal(number)
                psutil.wait_procs(started, timeout=300)


def _environments(world: int) -> list[dict[str, str]]:
    """What torchrun would tell each rank."""
    if world == 1:
        return [{}]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    shared |= {"LOCAL_WORLD_SIZE": str(world)}
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]


def _run(environment: dict[str, str], words: tuple[str, ...], log: str) -> None:
    import torch

    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ.update(environment)
    tempfile.tempdir = None  # found out again: the server may know another
    torch.set_num_threads(1)
    if words[0] == "-m":
        sys.argv = list(words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")


def run_on_ranks(world: int, *words: str, log: Path, timeout_s: float = 500) -> str:
    """Runs it forked and returns what was printed; fails with the last lines of that unless it exits with 0."""
    code = Ranks(world, words, log).wait(timeout_s)
    assert code == 0, log.read_text()[-4000:]
    return log.read_text()


def start_by_torchrun(world: int, *words: str) -> subprocess.Popen[str]:
    """Starts it; all that the launcher and the ranks print comes in one pipe, which ends when the last of them has."""
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*launcher, "--nproc-per-node", str(world), *words],
        env=ENVIRONMENT,
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

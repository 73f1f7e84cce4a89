"""Commands on several ranks of this machine, each with one thread, as torchrun starts them."""

import os
import subprocess
import sys

from tests.conftest import REPO

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}


def on_ranks(world: int, *words: str) -> list[str]:
    """The words of a command that runs a script, or `-m MODULE`, on so many ranks, on a port of its own."""
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc-per-node", str(world), *words]


def start_on_ranks(world: int, *words: str) -> subprocess.Popen[str]:
    """Starts it; all that the launcher and the ranks print comes in one pipe, which ends when the last of them has."""
    return subprocess.Popen(
        on_ranks(world, *words),
        env=ENVIRONMENT,
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_on_ranks(world: int, *words: str, timeout_s: float = 500) -> str:
    """Runs it to its end and returns what was printed; fails with the last lines of that unless it exits with 0."""
    process = start_on_ranks(world, *words)
    try:
        said, _ = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    assert process.returncode == 0, said[-4000:]
    return said

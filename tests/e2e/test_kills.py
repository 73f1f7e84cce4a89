"""A run that is stopped at any moment and started again ends with the same bytes as one that nobody disturbed."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miniyoutube.server import MiniYouTube
from tests.e2e.conftest import Finished
from tests.e2e.small_run import bytes_of, line_of, log_of, n_commits, small_catalogue, start

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def go_on(out: Path) -> Iterator[Start]:
    """Starts the run in `out`. What still runs after the test is killed: one that fails would leave it working."""
    started: list[subprocess.Popen[bytes]] = []
    with MiniYouTube(small_catalogue()) as site:

        def start_one(*changes: str) -> subprocess.Popen[bytes]:
            started.append(start(site, out, *changes))
            return started[-1]

        yield start_one
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Waits until something holds, or the process has ended."""
    until = time.monotonic() + 400
    while not holds() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def assert_drained(process: subprocess.Popen[bytes], out: Path) -> None:
    assert process.wait(timeout=120) == 75, log_of(out).read_text()[-3000:]
    log = log_of(out).read_text()
    assert "stopped on request (SIGTERM)" in log and "Run the same command again" in log
    assert "Traceback" not in log and "SIGABRT" not in log
    status = json.loads((out / "status.json").read_bytes())
    assert (status["state"], status["exit_code"]) == ("ended", 75)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("n_kills", [0, pytest.param(3, marks=pytest.mark.long)])
def test_a_run_killed_some_times_and_drained_once_ends_with_the_same_bytes(
    finished: Finished, out: Path, go_on: Start, n_kills: int
) -> None:
    """Drained on Ray; of three kills, one comes before that, one once shards are there and one on Ray."""
    total, moments = n_commits(finished.out), random.Random(7)

    def run_until(holds: Callable[[], bool], *changes: str) -> subprocess.Popen[bytes]:
        process = go_on(*changes)
        wait_until(holds, process)
        time.sleep(moments.uniform(0, 0.3))
        return process

    committed = []
    if n_kills:
        place = moments.randrange(1, total // 4)
        kill(run_until(lambda: n_commits(out) >= place, "engine.executor=local"))
        committed.append(n_commits(out))

    process = run_until(lambda: n_commits(out) >= total // 2)
    process.send_signal(signal.SIGTERM)
    assert_drained(process, out)

    if n_kills:
        n_before = n_commits(out)
        kill(run_until(lambda: (out / "manifest.json").exists() and n_commits(out) > n_before, "engine.executor=local"))
        committed.append(n_commits(out))
        late = max(n_before + 1, total - 2)
        kill(run_until(lambda: n_commits(out) >= late, "engine.n_cpus=1"))
        committed.append(n_commits(out))

    to_the_end = go_on() if n_kills else go_on("engine.executor=local")
    assert to_the_end.wait(timeout=900) == 0, log_of(out).read_text()[-3000:]
    assert sum(0 < n < total for n in committed) >= n_kills - 1, "kills came in the middle"
    assert bytes_of(out) == bytes_of(finished.out)
    assert line_of(out) == line_of(finished.out)
    assert json.loads((out / "status.json").read_bytes())["exit_code"] == 0
    assert not list(out.rglob(".tmp-*"))

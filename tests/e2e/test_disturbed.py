"""A run on Ray that loses a worker in every stage and is stopped half-way ends with the bytes of one left in peace.

By `make test` a stage loses one worker, the media stage two, and the run is drained once; by `make test-long` it loses
one at each moment of a stage's work, and is killed three times as well.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miniyoutube.server import MiniYouTube
from pipeline.engine.store.store import Store
from tests.conftest import REPO
from tests.e2e.conftest import Finished
from tests.e2e.small_run import bytes_of, command, line_of, log_of, n_commits, small_catalogue

pytestmark = pytest.mark.slow

AT_EACH = ("fetch", "begun", "made")
AT_ONE = {
    "list": ("begun",),
    "extract": ("made",),
    "transcripts": ("begun",),
    "clips": ("made",),
    "choose": ("begun",),
    "media": ("fetch", "made"),
    "shards": ("begun",),
    "same_texts": ("made",),
    "same_sentences": ("begun",),
}
SURE_AT_EACH = {**dict.fromkeys(AT_ONE, ("begun",)), "media": AT_EACH}
"""A stage of one unit loses no second worker, and some units are made by the run without Ray."""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the run in `out` with workers that die at these moments. What still runs after the test is killed."""
    started: list[subprocess.Popen[bytes]] = []
    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    with MiniYouTube(small_catalogue()) as site:

        def start_one(moments: dict[str, tuple[str, ...]], *changes: str) -> subprocess.Popen[bytes]:
            run = command(site, out, *changes)
            program = [sys.executable, "-m", "tests.e2e.deaths", str(marks), json.dumps(moments)]
            environment = os.environ | {"PYTHONPATH": str(REPO), "HDVILA_MARK": str(tmp_path)}
            with log_of(out).open("ab") as log:
                arguments = [*program, *run[run.index("run") :]]
                started.append(
                    subprocess.Popen(arguments, stdout=log, stderr=log, env=environment, start_new_session=True)
                )
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


def verdicts(out: Path) -> set[tuple[str, ...]]:
    rejects = Store(str(out)).read_rejects().select(["stage", "video_id", "reason"])
    return {tuple(row.values()) for row in rejects.to_pylist()}


def orphans(mark: str) -> list[str]:
    """Command lines of other processes that have a text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:  # it is over, or another user's
            continue
    return [line for line in found if line]


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("moments", "killed"),
    [(AT_ONE, False), pytest.param(dict.fromkeys(AT_ONE, AT_EACH), True, marks=pytest.mark.long)],
    ids=["one", "each"],
)
def test_dying_workers_a_drain_and_kills_change_no_byte(
    finished: Finished, tmp_path: Path, start: Start, moments: dict[str, tuple[str, ...]], killed: bool
) -> None:
    out, marks = tmp_path / "out", tmp_path / "marks"
    total, dice = n_commits(finished.out), random.Random(7)

    def run_until(n: int, *changes: str) -> subprocess.Popen[bytes]:
        process = start(moments, *changes)
        wait_until(lambda: n_commits(out) >= n, process)
        time.sleep(dice.uniform(0, 0.3))
        return process

    if killed:
        kill(run_until(dice.randrange(1, total // 4), "engine.executor=local"))
    process = run_until(total // 2)
    process.send_signal(signal.SIGTERM)
    assert_drained(process, out)
    if killed:
        kill(run_until(n_commits(out) + 1, "engine.executor=local"))
        kill(run_until(n_commits(out) + 1, "engine.n_cpus=1"))
    assert start(moments).wait(timeout=900) == 0, log_of(out).read_text()[-3000:]

    died = {mark.name for mark in marks.iterdir()}
    sure = AT_ONE if moments is AT_ONE else SURE_AT_EACH
    assert set(AT_ONE) == set(Store(str(finished.out)).stages())
    assert {f"{stage}.{moment}" for stage, of_it in sure.items() for moment in of_it} <= died
    assert len(list(marks.glob("politeness *"))) >= 3, "the actor of either run on Ray, and one that began again"
    assert bytes_of(out) == bytes_of(finished.out)
    assert line_of(out) == line_of(finished.out)
    assert verdicts(out) == verdicts(finished.out)
    assert json.loads((out / "status.json").read_bytes())["exit_code"] == 0
    assert not list(out.rglob(".tmp-*")) and Store(str(out)).sweep_parts() == 0
    until = time.monotonic() + 60
    while (left := orphans(str(tmp_path))) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left, "an orphan"

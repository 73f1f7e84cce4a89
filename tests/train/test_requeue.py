"""Stops under torchrun: a scheduler's SIGTERM, and the launcher's own death. The same command goes on each time."""

import fcntl
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from hdvila_testing.drawn_set import a_tree
from tests.train.torchrun import start_by_torchrun
from train.loop.checkpoint import checkpoints
from train.loop.observe import read_metrics

N_STEPS = 100_000


def start_fit(config: Path) -> subprocess.Popen[str]:
    return start_by_torchrun(2, "-m", "train.cli", "fit", str(config))


def wait_for_steps(process: subprocess.Popen[str], run: Path, n: int) -> None:
    deadline = time.monotonic() + 500
    while (
        sum(row["kind"] == "step" for row in read_metrics(run)) < n
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)


def mark_of(run: Path) -> int:
    """The step at which the run says that it stopped, which has a checkpoint."""
    step: int = json.loads((run / "requeue").read_text())["step"]
    assert checkpoints(run)[-1].name == f"step-{step:08d}"
    return step


@pytest.mark.slow
def test_sigterm_and_torchruns_death_leave_a_checkpoint_and_the_mark_to_start_again(
    drawn: Path, tmp_path: Path
) -> None:
    run, config = tmp_path / "run", tmp_path / "run.yaml"
    loop = {"steps": N_STEPS, "batch": 4}
    config.write_text(yaml.safe_dump(a_tree(drawn, run, loop=loop, checkpoint={"every": 0}, data={"workers": 1})))
    first = start_fit(config)
    wait_for_steps(first, run, 3)

    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=500)

    # torchrun kills its workers after 30 s, and then none of this is there.
    assert "with a checkpoint; the same command continues" in said, said[-3000:]
    stopped_at = mark_of(run)
    assert 3 <= stopped_at < N_STEPS

    second = start_fit(config)
    wait_for_steps(second, run, stopped_at + 3)
    assert not (run / "requeue").exists()

    second.kill()
    said, _ = second.communicate(timeout=500)  # the ranks write into the same pipe: it ends when they have

    assert f"resuming after step {stopped_at}" in said, said[-3000:]
    assert stopped_at + 3 <= mark_of(run) < N_STEPS
    with (run / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

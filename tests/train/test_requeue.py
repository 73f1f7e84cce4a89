"""A scheduler's SIGTERM under torchrun: a checkpoint, the mark to start again, and then the run goes on to its end."""

import fcntl
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from hdvila_testing.drawn_set import a_tree
from tests.train.torchrun import run_on_ranks, start_by_torchrun
from train.loop.checkpoint import checkpoints
from train.loop.observe import read_metrics

N_STEPS = 60


def start_fit(config: Path) -> subprocess.Popen[str]:
    return start_by_torchrun(2, "-m", "train.cli", "fit", str(config))


def write_config(path: Path, drawn: Path, run: Path, steps: int) -> None:
    tree = a_tree(drawn, run, loop={"steps": steps, "batch": 4}, checkpoint={"every": 0}, data={"workers": 1})
    path.write_text(yaml.safe_dump(tree))


def wait_for_steps(process: subprocess.Popen[str], run: Path, n: int) -> None:
    deadline = time.monotonic() + 180
    while len(read_metrics(run)) < n and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_and_the_mark_before_torchrun_kills(drawn: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_config(tmp_path / "run.yaml", drawn, run, N_STEPS)
    first = start_fit(tmp_path / "run.yaml")
    wait_for_steps(first, run, 3)

    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=300)

    # torchrun kills its workers after 30 s, and then none of this is there.
    assert "with a checkpoint; the same command continues" in said
    mark = json.loads((run / "requeue").read_text())
    assert 3 <= mark["step"] < N_STEPS
    assert checkpoints(run)[-1].name == f"step-{mark['step']:08d}"

    said = run_on_ranks(2, "-m", "train.cli", "fit", str(tmp_path / "run.yaml"), log=tmp_path / "log")

    assert f"resuming after step {mark['step']}" in said
    assert not (run / "requeue").exists()
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_ranks_whose_torchrun_was_killed_stop_with_a_checkpoint_and_free_the_folder(
    drawn: Path, tmp_path: Path
) -> None:
    run, config = tmp_path / "run", tmp_path / "run.yaml"
    write_config(config, drawn, run, 100_000)
    first = start_fit(config)
    wait_for_steps(first, run, 3)

    first.kill()
    said, _ = first.communicate(timeout=300)  # the ranks write into the same pipe: it ends when they have

    mark = json.loads((run / "requeue").read_text())
    assert 3 <= mark["step"] < 100_000, said[-3000:]
    assert checkpoints(run)[-1].name == f"step-{mark['step']:08d}"
    with (run / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

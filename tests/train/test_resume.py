"""Runs in processes of their own, killed and taken up again, alone and on several ranks."""

from __future__ import annotations

import signal
import time

import pytest
import torch
import yaml

from hdvila_testing.drawn_set import a_tree
from manifests.errors import UserError
from manifests.settings import parse_config
from tests.train.loop.test_fit import StopAfter, losses, run
from tests.train.torchrun import Ranks
from train.config import TrainConfig
from train.distributed import Process
from train.loop.checkpoint import checkpoints
from train.loop.fit import StopRequest, fit

pytestmark = pytest.mark.slow

STILL = {"dropout": 0.0, "drop_path": 0.0}


def start(config, world=1, *, log):
    """`hdvila-train fit` on so many ranks."""
    return Ranks(world, ("-m", "train.cli", "fit", str(config)), log)


def finish(process, log):
    code = process.wait(timeout=300)
    assert code == 0, log.read_text()


def killed_after(config, out, step, n_checkpoints, log):
    """The exit code of a run that is killed after so many steps, with so many checkpoints; it waits there for it."""
    process = Ranks(1, ("-m", "tests.train.waiting_fit", str(config), str(step), str(n_checkpoints)), log)
    deadline = time.monotonic() + 500
    while len(losses(out)) < step or len(checkpoints(out)) < n_checkpoints:
        assert process.poll() is None and time.monotonic() < deadline, "the run ended too early"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    return process.wait(timeout=300)


def written(tmp_path, drawn, name, **sections):
    """A configuration file whose run goes to tmp_path/name."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(a_tree(drawn, tmp_path / name, **sections)))
    return path


def test_a_run_killed_before_its_first_checkpoint_and_after_a_later_one_ends_with_the_same_bits(drawn, tmp_path):
    settings = {"loop": {"steps": 9, "batch": 4}, "data": {"workers": 1}, "checkpoint": {"every": 3}}
    log = tmp_path / "log"
    run(drawn, tmp_path / "whole", **settings)

    config, out = written(tmp_path, drawn, "killed", **settings), tmp_path / "killed"
    for step, n_checkpoints in ((2, 0), (5, 1)):
        assert killed_after(config, out, step, n_checkpoints, log) == -signal.SIGKILL
        assert len(losses(out)) < 9
    finish(start(config, log=log), log)

    assert losses(out) == losses(tmp_path / "whole") and len(losses(out)) == 9
    one, other = (checkpoints(tmp_path / name)[-1] for name in ("whole", "killed"))
    assert (one / "__0_0.distcp").read_bytes() == (other / "__0_0.distcp").read_bytes()


@pytest.mark.parametrize("strategy", [pytest.param("ddp", marks=pytest.mark.long), "fsdp2"])
def test_a_run_resumed_at_another_world_size_goes_on_with_the_same_order(drawn, tmp_path, strategy):
    """Losses depend on which clips stand in a batch, so equal losses mean equal batches."""
    settings, log, out = {"loop": {"steps": 6, "batch": 4}, "model": STILL}, tmp_path / "log", tmp_path / "moved"
    run(drawn, tmp_path / "whole", **settings)
    run(drawn, out, StopAfter(out, 3), **settings)
    two = written(tmp_path, drawn, "moved", **{**settings, "loop": {**settings["loop"], "strategy": strategy}})
    finish(start(two, world=2, log=log), log)

    assert "2 x cpu" in log.read_text() and "resuming after step 3" in log.read_text()
    assert losses(out) == pytest.approx(losses(tmp_path / "whole"), abs=1e-4)


def test_a_world_that_does_not_divide_the_batch_is_refused(drawn, tmp_path):
    config = parse_config(TrainConfig, a_tree(drawn, tmp_path / "run", loop={"batch": 5}), source="test")

    with pytest.raises(UserError, match=r"loop\.batch=5 cannot be shared by 2 ranks: .* batches are 4 or 6"):
        fit(config, Process(0, 2, torch.device("cpu")), StopRequest())

"""Steps whose gradients are not finite, and how a run goes on after one."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from manifests.errors import UserError
from tests.train.loop.test_fit import StopAfter, losses, run
from train.distributed import Process
from train.loop import fit, nonfinite
from train.loop.checkpoint import checkpoints
from train.loop.observe import read_metrics
from train.models.soho.dictionary import Dictionary
from train.models.soho.norms import BatchNorm


def test_a_loss_that_is_not_finite_stops_with_the_keys_of_the_batch(drawn, tmp_path):
    with pytest.raises(UserError, match=r"step 2: loss nan.*keys are in"):
        run(drawn, tmp_path / "run", optim={"lr": 1e30, "warmup": 0.0, "clip_norm": 0.0})

    (written,) = (tmp_path / "run" / "nonfinite").iterdir()
    assert len(json.loads(written.read_text())["keys"]) == 4


@pytest.fixture
def bad_step(monkeypatch):
    """Makes the gradients of a step (from 1) infinite, and what a forward pass may write not a number."""

    def spoil(wanted):
        steps = iter(range(1, 99))
        whole = fit.backward

        def backward(model, *rest, **more):
            found = whole(model, *rest, **more)
            if next(steps) == wanted:
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter.grad.fill_(float("inf"))
                for buffer in model.buffers():
                    buffer.fill_(float("nan"))
            return found

        monkeypatch.setattr(fit, "backward", backward)

    return spoil


def test_a_step_is_left_out_and_counted_and_its_keys_are_kept(drawn, tmp_path, bad_step):
    bad_step(2)

    outcome = run(drawn, tmp_path / "run", loop={"nonfinite": "skip"})

    assert outcome.status == "finished" and list(losses(tmp_path / "run")) == [1, 3, 4, 5, 6]
    left_out = [r for r in read_metrics(tmp_path / "run") if r["kind"] == "skipped"]
    assert left_out == [{"kind": "skipped", "step": 2, "n_skipped": 1}]
    (written,) = (tmp_path / "run/nonfinite").iterdir()
    assert len(json.loads(written.read_text())["keys"]) == 4 and "step-00000002" in written.name


def test_a_skipped_step_leaves_nothing_in_a_dictionary_or_a_batch_norm(tmp_path):
    model = nn.Sequential(BatchNorm(3), nn.Flatten(), Dictionary(4, 12, published=False, decay=0.9, floor=0.1))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    skipped = nonfinite.Skipped(tmp_path, Process(0, 1, torch.device("cpu")), model, wanted=True)

    skipped.begin()
    model(torch.full((2, 3, 2, 2), torch.nan))
    is_left_out = skipped.skips(1, torch.tensor(torch.nan), torch.tensor(torch.nan), ["a", "b"])

    assert is_left_out and all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    model[2].commit()
    assert all(buffer.isfinite().all() for buffer in model.buffers())


def test_after_ten_in_a_row_it_is_not_the_data(drawn, tmp_path):
    hopeless = {"lr": 1e30, "warmup": 0.0, "clip_norm": 0.0}
    with pytest.raises(UserError, match="gradients of 10 steps in a row"):
        run(drawn, tmp_path / "run", optim=hopeless, loop={"nonfinite": "skip", "steps": 20})


def test_a_run_goes_on_with_another_rate_which_is_said_and_written_down(drawn, tmp_path, capsys):
    out = tmp_path / "run"
    run(drawn, out, StopAfter(out, 3), optim={"schedule": "constant", "warmup": 0.0})

    run(drawn, out, optim={"schedule": "constant", "warmup": 0.0, "lr": 5e-4})

    rates = [r["lr"] for r in read_metrics(out) if r["kind"] == "step"]
    assert rates == pytest.approx([1e-3] * 3 + [5e-4] * 3)
    assert "optim.lr 0.001 → 0.0005 from step 4 on\n" in capsys.readouterr().out
    assert json.loads((out / "changes.jsonl").read_text()) == {
        "after_step": 3,
        "key": "optim.lr",
        "from": 1e-3,
        "to": 5e-4,
    }


def test_a_checkpoint_in_the_making_is_finished_when_an_error_comes(drawn, tmp_path, monkeypatch):
    whole = fit.backward

    def backward(*rest, **more):
        if len(losses(tmp_path / "run")) == 2:
            raise UserError("a stop")
        return whole(*rest, **more)

    monkeypatch.setattr(fit, "backward", backward)
    with pytest.raises(UserError, match="a stop"):
        run(drawn, tmp_path / "run")

    assert [path.name for path in checkpoints(tmp_path / "run")] == ["step-00000002"]

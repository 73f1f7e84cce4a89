"""Spikes of the loss: found far above the median of what came before, and nowhere else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from tests.train.loop.test_fit import run
from train.loop.objective import Loss, backward
from train.loop.observe import read_metrics
from train.loop.spikes import FEWEST, Spikes


def test_a_spike_is_found_and_falling_noisy_and_flat_losses_have_none() -> None:
    draw = random.Random(0)
    for losses in (
        [5 * 0.99**k + draw.gauss(0, 0.1) for k in range(400)],
        [2.0 + draw.gauss(0, 1e-5) for _ in range(400)],
        [draw.expovariate(1.0) ** 0.5 for _ in range(400)],
    ):
        spikes = Spikes()
        assert [loss for loss in losses if spikes.median_below(loss) is not None] == []
        assert spikes.median_below(30.0) == pytest.approx(sorted(losses[-100:])[50], abs=0.1)


def test_the_first_steps_of_a_run_are_no_spikes() -> None:
    spikes = Spikes()
    assert [spikes.median_below(10.0**k) for k in range(FEWEST)] == [None] * FEWEST


def test_a_run_reports_a_spike_with_its_keys(drawn, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    losses = iter([1, 1, 1, 9, 1])

    def spiky(*args: Any, **kwargs: Any) -> Loss:
        found = backward(*args, **kwargs)
        return replace(found, total=found.total * next(losses))

    monkeypatch.setattr("train.loop.spikes.FEWEST", 2)
    monkeypatch.setattr("train.loop.fit.backward", spiky)

    run(drawn, tmp_path / "run", loop={"steps": 5, "batch": 4})

    (spike,) = [r for r in read_metrics(tmp_path / "run") if r["kind"] == "spike"]
    kept = json.loads((tmp_path / "run" / "spikes" / "step-00000004-rank0.json").read_text())
    assert spike["step"] == 4 and spike["loss"] > 5 * spike["median"]
    assert len(kept["keys"]) == 4 and (kept["loss"], kept["median"]) == (spike["loss"], spike["median"])

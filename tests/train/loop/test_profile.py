"""A profile on demand: a trace of the steps that were asked for, as Perfetto and TensorBoard read it."""

from __future__ import annotations

import json

import pytest

from tests.train.loop.test_fit import run


@pytest.mark.parametrize(("steps", "n_profiled"), [(2, 2), (9, 3)], ids=["as asked", "to the end"])
def test_a_profile_holds_the_operators_and_memory_of_its_steps(drawn, tmp_path, steps, n_profiled):  # type: ignore[no-untyped-def]
    run(drawn, tmp_path / "run", loop={"steps": 4, "batch": 4}, observe={"profile": {"at": 2, "steps": steps}})

    (trace,) = (tmp_path / "run" / "profile").iterdir()
    events = json.loads(trace.read_text())["traceEvents"]
    assert trace.name == "step-00000002-rank0.pt.trace.json"
    assert all(event["ph"] and "name" in event for event in events)
    assert sum(e["name"].startswith("Optimizer.step") for e in events if e["ph"] == "X") == n_profiled
    assert any(event["name"] == "[memory]" for event in events)

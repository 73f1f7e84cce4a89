"""A profile on demand: a trace of the steps that were asked for, as Perfetto and TensorBoard read it."""

from __future__ import annotations

import json

from tests.train.loop.test_fit import run


def test_a_profile_holds_the_operators_and_memory_of_its_steps_up_to_the_runs_end(drawn, tmp_path):  # type: ignore[no-untyped-def]
    run(drawn, tmp_path / "run", loop={"steps": 3, "batch": 4}, observe={"profile": {"at": 2, "steps": 9}})

    (trace,) = (tmp_path / "run" / "profile").iterdir()
    events = json.loads(trace.read_text())["traceEvents"]
    assert trace.name == "step-00000002-rank0.pt.trace.json"
    assert all(event["ph"] and "name" in event for event in events)
    assert sum(e["name"].startswith("Optimizer.step") for e in events if e["ph"] == "X") == 2
    assert any(event["name"] == "[memory]" for event in events)

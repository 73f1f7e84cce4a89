"""Who works on what: known from a worker's report on, overdue past its limit and the grace."""

import pytest

from pipeline.engine.on_ray.running_attempts import Roll


def test_an_attempt_is_known_from_its_report_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr("pipeline.engine.on_ray.running_attempts.time.monotonic", lambda: seconds[0])
    roll = Roll()
    assert roll.of(1) is None
    roll.begin(1, "node", "host", 42, limit_s=10)
    roll.begin(2, "node", "host", 43, limit_s=100)
    seconds[0] = 115.0

    begun = roll.of(1)
    assert begun is not None and (begun.host, begun.pid, begun.age_s) == ("host", 42, 15.0)
    assert (roll.overdue(5.0), roll.overdue(4.9)) == ([], [1])
    roll.forget([1, 7])
    assert roll.of(1) is None and roll.of(2) is not None and roll.overdue(0) == []

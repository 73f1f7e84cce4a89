"""What a person sees of a long job where there is no terminal: something at once, and something while nothing ends."""

import logging

import pytest

from pipeline.engine import progress
from pipeline.engine.progress import RunProgress, log


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The log lines, as they come."""
    found: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: found.append(record.getMessage()))
    monkeypatch.setattr(log, "handlers", [handler])
    monkeypatch.setattr(log, "level", logging.INFO)
    monkeypatch.setattr(log, "_cache", {})
    return found


def test_a_stage_is_told_with_its_first_unit_and_before_that_not_at_all(lines: list[str]) -> None:
    with RunProgress() as run:
        stage = run.stage("media", 7)
        assert lines == []
        stage.queued(1)
        stage.queued(2)
    assert lines == ["media: begins; 7 units done before"]


def test_a_line_comes_though_no_unit_ends_and_the_rate_once_some_have(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with RunProgress() as run:
        stage = run.stage("media", 0)
        stage.queued(3)
        for seconds in (1, 20, 1, 20):
            clock[0] += seconds
            stage.tick(2)
            if clock[0] == 1022:
                stage.advance({"no_captions": 4})
    assert lines == [
        "media: begins",
        "media: 0 units, 2 in flight",
        "media: 1 units, 2 in flight, 1.43 units a minute, 4 turned away",
    ]

"""What a person sees of a long job where there is no terminal: something at once, and something while nothing ends."""

import logging
import time
from collections.abc import Callable

import pytest

from pipeline.engine import progress
from pipeline.engine.progress import RunProgress, counted, log, under_way


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits up to 20 s."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
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
        "media: 1 unit, 2 in flight, 1.43 a minute, 4 turned away",
    ]


def test_what_is_planned_is_told_at_once_and_the_time_that_is_left_with_the_rate(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
    with RunProgress() as run:
        stage = run.stage("list", 0)
        stage.queued(1, 20)
        clock[0] += 60
        for _ in range(5):
            stage.advance({})
        stage.tick(2)
    assert lines == ["list: begins; 20 units", "list: 5 of 20 units, 2 in flight, 5 a minute, 3 min left"]


def test_a_command_that_reads_shards_says_how_many_before_the_first_and_how_long_it_takes(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
    for shard in counted(["a", "b", "c"], 3, "verify"):
        assert lines[0] == "verify: 3 shards", shard
        clock[0] += 10
    assert lines == ["verify: 3 shards", "verify: 2 of 3 shards, 6 a minute, 10 s left"]


def test_on_a_terminal_the_line_has_its_rate_and_what_is_printed_beside_it_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    for shard in counted(["a", "b", "c"], 3, "verify"):
        clock[0] += 60
        print(f"fault in {shard}")
    shown = capsys.readouterr()
    assert shown.out == "fault in a\nfault in b\nfault in c\n"
    assert "verify" in shown.err and "1 a minute" in shown.err


def test_what_has_no_number_is_told_at_once_and_while_it_lasts(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.05)
    with under_way("starting a local Ray"):
        assert lines == ["starting a local Ray"]
        wait_until(lambda: len(lines) > 2)
    assert lines[1].startswith("starting a local Ray: still under way after")
    n_before = len(lines)
    time.sleep(0.2)
    assert len(lines) == n_before

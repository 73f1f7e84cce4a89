"""What a person sees of a long job where there is no terminal: something at once, and something while nothing ends."""

import io
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from manifests.errors import UserError
from pipeline.engine.run import progress
from pipeline.engine.run.progress import FOR_FILES, RunProgress, counted, log, set_up_logging, under_way


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
        "media: 1 unit, 2 in flight, 1.43 a minute, 4 rejected",
    ]


def test_a_line_that_would_say_the_same_comes_every_five_minutes(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
    with RunProgress() as run:
        stage = run.stage("extract", 0)
        stage.queued(3, 3)
        for _ in range(40):
            clock[0] += 15
            stage.tick(3)
    assert lines == ["extract: begins; 3 units"] + 2 * ["extract: 0 of 3 units, 3 in flight"]


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


def test_a_stage_without_anything_before_it_only_begins(lines: list[str]) -> None:
    with RunProgress() as run:
        run.stage("list", 0).queued(2, 0)
        run.stage("media", 1).queued(2, 5)
        ticked = run.stage("cut", 0)
        ticked.tick(1)
    assert lines == ["list: begins", "media: begins; 5 units, 1 unit done before"]


def test_a_line_comes_every_quarter_of_a_minute(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
    with RunProgress() as run:
        stage = run.stage("media", 0)
        stage.queued(1)
        for _ in range(3):
            clock[0] += 7.5
            stage.tick(1)
    assert lines == ["media: begins", "media: 0 units, 1 in flight"]
    told = list(counted(shards(clock, 4), 4, "verify", "films"))
    assert told == [0, 1, 2, 3]
    assert lines[2:] == ["verify: 4 films", "verify: 3 of 4 films, 12 a minute, 5 s left"]


def shards(clock: list[float], n: int) -> Iterator[int]:
    """Items of which each takes 7.5 seconds from the one before."""
    for i in range(n):
        yield i
        clock[0] += 7.5


def test_a_message_names_its_stage_unit_and_machine_in_files(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[logging.LogRecord] = []
    monkeypatch.setattr(log.handlers[0], "emit", records.append)
    with RunProgress() as run:
        stage = run.stage("media", 0)
        stage.say("lost", unit="v", node="n")
        stage.committed("v", "n", {"seconds": 2.5, "rows": {"packs": 1}, "parts": {"packs": "p"}})
    lost, made = records
    assert (lost.getMessage(), lost.levelname) == ("media: lost", "WARNING")
    assert (made.getMessage(), made.levelname) == ("media: v committed", "INFO")
    facts = {"stage": "media", "unit": "v", "node": "n"}
    assert lost.__dict__["facts"] == facts and made.__dict__["facts"] == {**facts, "seconds": 2.5, "rows": {"packs": 1}}
    assert (lost.__dict__[FOR_FILES], made.__dict__[FOR_FILES]) == (False, True)


def a_terminal() -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    return Console(file=screen, force_terminal=True, width=100), screen


WIPED = "\x1b[1A\x1b[2K"
"""One line up, and clear it."""


def test_on_a_terminal_each_stage_has_a_line_and_messages_stand_above(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
    console, screen = a_terminal()
    with RunProgress(console=console) as run:
        first, second = run.stage("media", 3), run.stage("list", 0)
        first.queued(1, 20)
        second.queued(4)
        second.queued(5)
        clock[0] += 60
        first.advance({"no_captions": 2})
        first.advance({})
        first.say("[red] lost 12 %")
        first.tick(2)
        until = time.monotonic() + 60
        while not all(shown in screen.getvalue() for shown in ("2/20", "2 a minute, 9 min left, 2 rejected", "0/5")):
            assert time.monotonic() < until, screen.getvalue()
            time.sleep(0.02)
        first.close()
    assert screen.getvalue().rfind("list") > screen.getvalue().rfind("9 min left"), "its line goes when it is over"
    assert screen.getvalue().endswith(WIPED), "and all of them in the end"
    assert "media: [red] lost 12 %" in screen.getvalue(), "as it is: no markup"
    assert lines == ["media: [red] lost 12 %"], "it is marked as one for files"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h"), (12600, "3.5 h")],
)
def test_a_length_of_time_is_told_as_people_do(seconds: float, said: str) -> None:
    assert progress.length_of(seconds) == said


@pytest.mark.parametrize(
    ("n_done", "seconds", "n_all", "said"),
    [
        (0, 60, 5, ""),
        (5, 0, 5, ""),
        (1, 0.5, 0, ", 120 a minute"),
        (5, 60, 5, ", 5 a minute"),
        (1, 60, 2, ", 1 a minute, 60 s left"),
    ],
)
def test_a_rate_is_told_once_there_is_one_and_what_is_left_where_it_is_known(
    n_done: int, seconds: float, n_all: int, said: str
) -> None:
    assert progress.pace(n_done, seconds, n_all) == said


def test_what_has_no_number_is_a_live_line_on_a_terminal(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with under_way("starting a local Ray"):
        assert lines == ["starting a local Ray"]
    shown = capsys.readouterr().err
    assert "starting a local Ray" in shown and shown.endswith(WIPED)


def test_the_log_goes_to_the_terminal_for_people_and_to_a_file_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = log.handlers, log.level, log.propagate
    try:
        set_up_logging(json_file=tmp_path / "log.jsonl")
        log.debug("in detail")
        log.info("Grüße")
        log.info("of a unit", extra={"facts": {"unit": "v"}, FOR_FILES: True})
        log.warning("seen", extra={"facts": {"unit": "w"}, FOR_FILES: False})
        assert not log.propagate, "no other handler says it again"
        log.handlers[1].close()
        set_up_logging(verbose=True)
        log.debug("in detail now")
        with pytest.raises(UserError, match=r"--log-json .*: cannot be written to \(Is a directory\)"):
            set_up_logging(json_file=tmp_path)
    finally:
        log.handlers, log.level, log.propagate = before
        log._cache.clear()  # type: ignore[attr-defined]

    shown = capsys.readouterr().err.splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "at ", line) for line in shown] == ["at Grüße", "at seen", "at in detail now"]
    written = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line.get("unit") for line in written] == [None, "v", "w"]
    assert [line["level"] for line in written] == ["info", "info", "warning"]
    assert "Grüße" in (tmp_path / "log.jsonl").read_text("utf-8")


def test_a_reminder_does_not_keep_a_process(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    made: list[bool] = []
    thread = threading.Thread

    def noted(*, target: Callable[[], None], daemon: bool) -> threading.Thread:
        made.append(daemon)
        return thread(target=target, daemon=daemon)

    monkeypatch.setattr(threading, "Thread", noted)
    with under_way("reading"):
        pass
    assert made == [True] and lines == ["reading"]

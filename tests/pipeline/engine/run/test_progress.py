"""What a person sees of a long job where there is no terminal: something at once, and something while nothing ends."""

import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from manifests.errors import UserError
from manifests.run_status import StageStatus
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


def test_the_first_stage_of_a_name_says_that_it_begins_with_its_first_unit_and_the_next_batch_does_not(
    lines: list[str],
) -> None:
    with RunProgress() as run:
        stage = run.stage("media", 7)
        assert lines == []
        stage.queued(1)
        stage.queued(2)
        run.stage("media", 8).queued(5)
        run.stage("list", 0).queued()
    assert lines == ["media: begins; 1 video, 7 videos done before", "list: begins"]


def test_a_command_that_reads_shards_says_how_many_before_the_first_and_how_long_it_takes(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.clock, "now", lambda: clock[0])
    for shard in counted(["a", "b", "c"], 3, "verify"):
        assert lines[0] == "verify: 3 shards", shard
        clock[0] += 10
    assert lines == ["verify: 3 shards", "verify: 2 of 3 shards, 6 a minute, 10 s left"]


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


def shards(clock: list[float], n: int) -> Iterator[int]:
    """Items of which each takes 7.5 seconds from the one before."""
    for i in range(n):
        yield i
        clock[0] += 7.5


def a_terminal() -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    return Console(file=screen, force_terminal=True, width=100), screen


WIPED = "\x1b[1A\x1b[2K"
"""One line up, and clear it."""


def test_on_a_terminal_each_stage_name_has_a_line_that_ends_whole_and_messages_stand_above(lines: list[str]) -> None:
    console, screen = a_terminal()
    media = StageStatus(stage="media", done_before=3, done=2, known=9, total=20, in_flight=2, rejects={"no_audio": 2})
    with RunProgress(console=console) as run:
        run.stage("media", 3).say("[red] lost 12 %")
        run.show([media, StageStatus(stage="list", known=5, in_flight=1)], "about 9 min left", 0.25)
        wait_until(
            lambda: all(
                x in screen.getvalue() for x in ("5/20", "videos, 2 rejected", "0/?", " 25/100", "%  about 9 min left")
            )
        )
        over = StageStatus(stage="list", done=5, known=5)
        run.show([media.with_others([StageStatus(stage="media", total=4, known=4)]), over], "")
        wait_until(lambda: "5/24" in screen.getvalue() and "5/5" in screen.getvalue())
    assert screen.getvalue().endswith(WIPED), "and all of them in the end"
    assert "media: [red] lost 12 %" in screen.getvalue(), "as it is: no markup"
    assert lines == ["media: [red] lost 12 %"], "it is marked as one for files"


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

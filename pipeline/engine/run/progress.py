"""Progress of a long job: a live line on a terminal, plain log lines elsewhere; the rate, and the time left."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from manifests.errors import UserError, printable
from manifests.stages import n_units
from pipeline.engine.run import clock

if TYPE_CHECKING:  # heavy to import, and short jobs show no progress
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from manifests.run_status import StageStatus

log = logging.getLogger("hdvila")

Item = TypeVar("Item")

PLAIN_EVERY_S = 15.0
"""Without a terminal: the time between two lines."""
WHOLE = "whole run"
FOR_FILES = "for_files"
"""Marks a log record as for files only: a terminal shows it in another form, or it would be too much there."""


class RunProgress:
    """The live lines on a terminal: one for each stage name that was under way, and one for the whole run."""

    def __init__(self, *, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._begun: set[str] = set()

    def __enter__(self) -> RunProgress:
        if self._console.is_terminal:
            self._bar = _bar(self._console)
            self._task(WHOLE)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def is_live(self) -> bool:
        """Whether it shows lines on a terminal; otherwise the run's own log lines have to do."""
        return self._bar is not None

    def stage(self, stage: str, n_done_before: int) -> StageProgress:
        """What is said of a stage that is about to run; only the first of a name says that it begins."""
        is_first = stage not in self._begun
        self._begun.add(stage)
        return StageProgress(stage, n_done_before, self._bar, says_begin=is_first and not self._bar)

    def show(self, lines: Iterable[StageStatus], whole: str, share: float | None = None) -> None:
        """Updates the line of each stage name that ran, and the first line, which is about the whole run. `share`: of
        its time that has passed, None if unknown.
        """
        if self._bar is None:
            return
        for line in lines:
            if line.known or line.in_flight:
                n_done, n_rejected = line.done_before + line.done, sum(line.rejects.values())
                total = line.total or (None if line.in_flight else n_done)
                note = f"{n_units(total or n_done, line.stage).partition(' ')[2]}"
                note += f", {n_rejected:,} rejected" if n_rejected else ""
                self._bar.update(self._task(line.stage), completed=n_done, total=total, note=note)
        if share is None:
            self._bar.update(self._task(WHOLE), note=whole)
        else:
            self._bar.update(self._task(WHOLE), note=f"%  {whole}", completed=round(100 * share), total=100)

    def _task(self, name: str) -> TaskID:
        assert self._bar is not None
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=None, note="")
        return self._tasks[name]


class StageProgress:
    """What is said of a stage beside its numbers: that it begins, what must be seen, and each commit in log files."""

    def __init__(self, stage: str, n_done_before: int, bar: Progress | None, *, says_begin: bool) -> None:
        self._stage, self._resumed, self._bar, self._says_begin = stage, n_done_before, bar, says_begin

    def queued(self, n_planned: int = 0) -> None:
        """Logs the first call at once: a unit may take minutes. `n_planned`: units in all, 0: unknown."""
        if self._says_begin:
            facts = [n_units(n_planned, self._stage)] if n_planned else []
            facts += [f"{n_units(self._resumed, self._stage)} done before"] if self._resumed else []
            log.info("%s: begins%s", self._stage, f"; {', '.join(facts)}" if facts else "")
        self._says_begin = False

    def say(self, message: str, *, unit: str = "", node: str = "") -> None:
        """Shows a message that must be seen: a paused identity, a lost worker. `node`: the machine it concerns."""
        facts = {"stage": self._stage, "unit": unit, "node": node}
        if self._bar:
            self._bar.console.print(f"{self._stage}: {message}", markup=False, highlight=False)
        log.warning("%s: %s", self._stage, message, extra={"facts": facts, FOR_FILES: self._bar is not None})

    def committed(self, unit: str, node: str, facts: Mapping[str, Any]) -> None:
        """Logs a committed unit with the facts of its commit, for log files only. `node`: the machine that made it."""
        said = {key: facts[key] for key in ("seconds", "attempt", "rows", "rejects", "bytes") if key in facts}
        log.info(
            "%s: %s committed",
            self._stage,
            unit,
            extra={"facts": {"stage": self._stage, "unit": unit, "node": node, **said}, FOR_FILES: True},
        )


def pace(n_done: int, seconds: float, n_all: int = 0) -> str:
    """The rate and the time left, `, 12 a minute, 4 min left`; "" before anything is done."""
    if not n_done or seconds <= 0:
        return ""
    rate = f", {60 * n_done / seconds:.3g} a minute"
    from manifests.time_left import length_of

    return f"{rate}, {length_of(seconds / n_done * (n_all - n_done))} left" if n_all > n_done else rate


def counted(items: Iterable[Item], n_all: int, job: str, what: str = "shards") -> Iterator[Item]:
    """Yields the items while showing progress as RunProgress does for stages: for commands that read shards in turn.

    The first line comes before the first item. `job` and `what` are words to display: verify, shards.
    """
    from rich.console import Console

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield from _logged(items, n_all, job, what)
        return
    with _bar(console) as bar:
        task, started = bar.add_task(job, total=n_all, note=what), clock.now()
        for n_done, item in enumerate(items, 1):
            yield item
            bar.update(task, advance=1, note=what + pace(n_done, clock.now() - started, n_all))


@contextmanager
def under_way(what: str) -> Iterator[None]:
    """Shows that work without a count is still going on: a live line on a terminal, else a log line now and then."""
    from rich.console import Console

    log.info(what)
    console = Console(file=sys.stderr)
    if console.is_terminal:
        with _spinner(console) as line:
            line.add_task(what, total=None)
            yield
        return
    ended, started = threading.Event(), time.monotonic()

    def remind() -> None:
        while not ended.wait(PLAIN_EVERY_S):
            from manifests.time_left import length_of

            log.info("%s: still under way after %s", what, length_of(time.monotonic() - started))

    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    try:
        yield
    finally:
        ended.set()
        reminder.join()


def _logged(items: Iterable[Item], n_all: int, job: str, what: str) -> Iterator[Item]:
    log.info("%s: %d %s", job, n_all, what)
    started = last_line = clock.now()
    for n_done, item in enumerate(items, 1):
        yield item
        if (now := clock.now()) - last_line >= PLAIN_EVERY_S:
            last_line = now
            log.info("%s: %d of %d %s%s", job, n_done, n_all, what, pace(n_done, now - started, n_all))


def _bar(console: Console) -> Progress:
    """Live progress lines. What the program prints meanwhile still goes to its stdout, even if that is a file."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())


def _spinner(console: Console) -> Progress:
    """A live line for work without a count."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the current sys.stderr, which differs between the commands of a process."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """Ignored; the base class assigns a stream."""


class _Lines(logging.Formatter):
    """Lines for people; what came from elsewhere is in them only as far as it can be printed."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().formatMessage(record).split("\n")))


class _JsonLines(logging.Formatter):
    """One JSON line per record: at (UTC), level, message; for a unit's records also stage, unit and node."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps({**line, **getattr(record, "facts", {})}, ensure_ascii=False)


def set_up_logging(*, verbose: bool = False, json_file: Path | None = None) -> None:
    """Sends the program's own log records to stderr; those of libraries only from warnings up.

    `json_file` gets them too, as lines of JSON, plus a line for each unit that is committed. UserError if it cannot be
    written to.
    """
    handler = _StderrHandler()
    handler.setFormatter(_Lines("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    handler.addFilter(lambda record: not getattr(record, FOR_FILES, False))
    log.handlers = [handler]
    if json_file is not None:
        try:
            lines = logging.FileHandler(json_file, encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"--log-json {json_file}: cannot be written to ({error.strerror})") from None
        lines.setFormatter(_JsonLines())
        log.addHandler(lines)
    log.propagate = False
    log.setLevel(logging.DEBUG if verbose else logging.INFO)

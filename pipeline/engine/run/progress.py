"""Progress of a long job: a live line on a terminal, plain log lines elsewhere; the rate, and the time left."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from manifests.errors import UserError, printable
from pipeline.engine.run import clock

if TYPE_CHECKING:  # heavy to import, and short jobs show no progress
    from rich.console import Console
    from rich.progress import Progress

log = logging.getLogger("hdvila")

Item = TypeVar("Item")

PLAIN_EVERY_S, UNCHANGED_EVERY_S = 15.0, 300.0
"""Without a terminal: the time between two lines, and between two that say the same."""
FOR_FILES = "for_files"
"""Marks a log record as for files only: a terminal shows it in another form, or it would be too much there."""


class RunProgress:
    """The live lines on a terminal for all stages under way."""

    def __init__(self, *, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None

    def __enter__(self) -> RunProgress:
        if self._console.is_terminal:
            self._bar = _bar(self._console)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def stage(self, stage: str, n_done_before: int) -> StageProgress:
        """Adds a line for another stage."""
        return StageProgress(stage, n_done_before, self._bar)


class StageProgress:
    """Progress of a stage: units done, rows made, rejects by reason."""

    def __init__(self, stage: str, n_done_before: int, bar: Progress | None) -> None:
        self._stage = stage
        self._n_done = self._n_planned = 0
        self._rejects: Counter[str] = Counter()
        self._started = self._last_line = clock.now()
        self._last_said = (-1, -1)
        self._resumed, self._has_begun = n_done_before, False
        self._bar = bar
        if bar:
            self._task = bar.add_task(stage, total=None, note="")

    def close(self) -> None:
        """Removes the stage's line."""
        if self._bar:
            self._bar.remove_task(self._task)

    def queued(self, n_units: int, n_planned: int = 0) -> None:
        """Takes the number of units queued so far, and how many are planned in all (0: unknown).

        Logs the first call at once: a unit may take minutes.
        """
        self._n_planned = n_planned
        if not self._has_begun and not self._bar:
            facts = [units_of(n_planned)] if n_planned else []
            facts += [f"{units_of(self._resumed)} done before"] if self._resumed else []
            log.info("%s: begins%s", self._stage, f"; {', '.join(facts)}" if facts else "")
        self._has_begun = True
        if self._bar:
            self._bar.update(self._task, total=n_planned or n_units)

    def advance(self, rejects: dict[str, int]) -> None:
        """Counts another committed unit."""
        self._n_done += 1
        self._rejects.update(rejects)
        if self._bar:
            self._bar.update(self._task, advance=1, note=self._note().removeprefix(", "))

    def tick(self, n_in_flight: int) -> None:
        """Called regularly: without a terminal it logs a line now and then, even while no unit ends."""
        says = (self._n_done, n_in_flight)
        every_s = UNCHANGED_EVERY_S if says == self._last_said else PLAIN_EVERY_S
        if self._bar or not self._has_begun or clock.now() - self._last_line < every_s:
            return
        self._last_line, self._last_said = clock.now(), says
        done = f"{self._n_done} of {units_of(self._n_planned)}" if self._n_planned else units_of(self._n_done)
        log.info("%s: %s, %d in flight%s", self._stage, done, n_in_flight, self._note())

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

    def _note(self) -> str:
        said = pace(self._n_done, clock.now() - self._started, self._n_planned)
        rejected = sum(self._rejects.values())
        return said + (f", {rejected} rejected" if rejected else "")


def units_of(n: int) -> str:
    """A number of units in words: 1 unit, 2 units."""
    return f"{n} unit" if n == 1 else f"{n} units"


def pace(n_done: int, seconds: float, n_all: int = 0) -> str:
    """The rate and the time left, `, 12 a minute, 4 min left`; "" before anything is done."""
    if not n_done or seconds <= 0:
        return ""
    rate = f", {60 * n_done / seconds:.3g} a minute"
    return f"{rate}, {length_of(seconds / n_done * (n_all - n_done))} left" if n_all > n_done else rate


def length_of(seconds: float) -> str:
    """A duration in words: 90 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


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

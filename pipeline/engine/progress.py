"""What a long job shows: a live line on a terminal, plain log lines elsewhere; how fast it goes, and what is left."""

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

from manifests.errors import UserError
from pipeline.engine import clock

if TYPE_CHECKING:  # heavy, and what is done in a moment shows no progress
    from rich.console import Console
    from rich.progress import Progress

log = logging.getLogger("hdvila")

Item = TypeVar("Item")

PLAIN_EVERY_S = 15.0
FOR_FILES = "for_files"
"""Marks a record that is not for the terminal: it is shown there in another form, or would be too much."""


class RunProgress:
    """The live lines of all stages under way, on a terminal."""

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
    """Progress of one stage: units done, rows made, rejects by reason."""

    def __init__(self, stage: str, n_done_before: int, bar: Progress | None) -> None:
        self._stage = stage
        self._n_done = self._n_planned = 0
        self._rejects: Counter[str] = Counter()
        self._started = self._last_line = clock.now()
        self._resumed, self._has_begun = n_done_before, False
        self._bar = bar
        if bar:
            self._task = bar.add_task(stage, total=None, note="")

    def close(self) -> None:
        """Its line goes."""
        if self._bar:
            self._bar.remove_task(self._task)

    def queued(self, n_units: int, n_planned: int = 0) -> None:
        """Units queued so far, and how many are planned in all (0: not known).

        The first call is logged at once: a unit may take minutes.
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
        """Called as time goes by: without a terminal it logs a line now and then, even while nothing ends."""
        if self._bar or not self._has_begun or clock.now() - self._last_line < PLAIN_EVERY_S:
            return
        self._last_line = clock.now()
        done = f"{self._n_done} of {units_of(self._n_planned)}" if self._n_planned else units_of(self._n_done)
        log.info("%s: %s, %d in flight%s", self._stage, done, n_in_flight, self._note())

    def say(self, message: str, *, unit: str = "", node: str = "") -> None:
        """A line that must be seen: a paused identity, a lost worker, on the machine `node`."""
        facts = {"stage": self._stage, "unit": unit, "node": node}
        if self._bar:
            self._bar.console.print(f"{self._stage}: {message}", markup=False, highlight=False)
        log.warning("%s: %s", self._stage, message, extra={"facts": facts, FOR_FILES: self._bar is not None})

    def committed(self, unit: str, node: str, facts: Mapping[str, Any]) -> None:
        """Logs a committed unit, made on the machine `node`, with the facts of its commit. For log files only."""
        said = {key: facts[key] for key in ("seconds", "attempt", "rows", "rejects", "bytes") if key in facts}
        log.info(
            "%s: %s committed",
            self._stage,
            unit,
            extra={"facts": {"stage": self._stage, "unit": unit, "node": node, **said}, FOR_FILES: True},
        )

    def _note(self) -> str:
        said = pace(self._n_done, clock.now() - self._started, self._n_planned)
        turned_away = sum(self._rejects.values())
        return said + (f", {turned_away} turned away" if turned_away else "")


def units_of(n: int) -> str:
    """A number of units as people say it: 1 unit, 2 units."""
    return f"{n} unit" if n == 1 else f"{n} units"


def pace(n_done: int, seconds: float, n_all: int = 0) -> str:
    """How fast it goes and what that leaves, `, 12 a minute, 4 min left`; "" before anything is done."""
    if not n_done or seconds <= 0:
        return ""
    rate = f", {60 * n_done / seconds:.3g} a minute"
    return f"{rate}, {length_of(seconds / n_done * (n_all - n_done))} left" if n_all > n_done else rate


def length_of(seconds: float) -> str:
    """A length of time as people say it: 90 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def counted(items: Iterable[Item], n_all: int, job: str, what: str = "shards") -> Iterator[Item]:
    """Yields the items with the progress that RunProgress shows of a stage: for commands that read shards in turn.

    The first line comes before the first item. `job` and `what` are words for a person: verify, shards.
    """
    from rich.console import Console

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield from _told(items, n_all, job, what)
        return
    with _bar(console) as bar:
        task, started = bar.add_task(job, total=n_all, note=what), clock.now()
        for n_done, item in enumerate(items, 1):
            yield item
            bar.update(task, advance=1, note=what + pace(n_done, clock.now() - started, n_all))


@contextmanager
def under_way(what: str) -> Iterator[None]:
    """Shows that work without a count still goes on: a live line on a terminal, else a log line now and then."""
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

    teller = threading.Thread(target=remind, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _told(items: Iterable[Item], n_all: int, job: str, what: str) -> Iterator[Item]:
    log.info("%s: %d %s", job, n_all, what)
    started = last_line = clock.now()
    for n_done, item in enumerate(items, 1):
        yield item
        if (now := clock.now()) - last_line >= PLAIN_EVERY_S:
            last_line = now
            log.info("%s: %d of %d %s%s", job, n_done, n_all, what, pace(n_done, now - started, n_all))


def _bar(console: Console) -> Progress:
    """Live lines; what the program prints beside them goes where it went, also where that is a file."""
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
    """A live line for what has no number."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stderr is at that moment: it differs between the commands of one process."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """Ignored: the base class sets a stream."""


class _JsonLines(logging.Formatter):
    """One JSON line per record: at (UTC), level, message, and for a unit's records stage, unit and node."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps({**line, **getattr(record, "facts", {})}, ensure_ascii=False)


def set_up_logging(*, verbose: bool = False, json_file: Path | None = None) -> None:
    """Log lines of the program itself to stderr; libraries only from warnings up.

    `json_file` gets them as lines of JSON as well, and beside them one for each unit that is committed. UserError where
    it cannot be written to.
    """
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
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

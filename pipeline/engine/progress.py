"""What a long job shows: a live line on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:  # heavy, and what is done in a moment shows no progress
    from rich.console import Console
    from rich.progress import Progress

log = logging.getLogger("hdvila")

PLAIN_EVERY_S = 15.0


class RunProgress:
    """The live lines of all stages under way, on a terminal."""

    def __init__(self, *, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None

    def __enter__(self) -> RunProgress:
        if self._console.is_terminal:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def stage(self, stage: str, n_done_before: int) -> StageProgress:
        """The line of one more stage."""
        return StageProgress(stage, n_done_before, self._bar)


class StageProgress:
    """Progress of one stage: units done, rows made, rejects by reason."""

    def __init__(self, stage: str, n_done_before: int, bar: Progress | None) -> None:
        self._stage = stage
        self._n_done = 0
        self._rejects: Counter[str] = Counter()
        self._started = self._last_line = time.monotonic()
        self._resumed, self._has_begun = n_done_before, False
        self._bar = bar
        if bar:
            self._task = bar.add_task(stage, total=None, note="")

    def close(self) -> None:
        """Its line goes."""
        if self._bar:
            self._bar.remove_task(self._task)

    def queued(self, n_units: int) -> None:
        """So many units are known by now. The first is told at once: a unit may take minutes."""
        if not self._has_begun and not self._bar:
            log.info("%s: begins%s", self._stage, f"; {self._resumed} units done before" if self._resumed else "")
        self._has_begun = True
        if self._bar:
            self._bar.update(self._task, total=n_units)

    def advance(self, rejects: dict[str, int]) -> None:
        """One more unit is committed."""
        self._n_done += 1
        self._rejects.update(rejects)
        if self._bar:
            self._bar.update(self._task, advance=1, note=self._note())

    def tick(self, n_in_flight: int) -> None:
        """Time goes by: where there is no terminal, a line now and then, also while nothing ends."""
        if self._bar or not self._has_begun or time.monotonic() - self._last_line < PLAIN_EVERY_S:
            return
        self._last_line = time.monotonic()
        log.info("%s: %d units, %d in flight%s", self._stage, self._n_done, n_in_flight, self._note())

    def say(self, message: str) -> None:
        """A line that must be seen: a paused identity, a lost worker."""
        if self._bar:
            self._bar.console.print(f"{self._stage}: {message}", markup=False, highlight=False)
        else:
            log.warning("%s: %s", self._stage, message)

    def _note(self) -> str:
        minutes = (time.monotonic() - self._started) / 60
        rate = f", {self._n_done / minutes:.3g} units a minute" if self._n_done and minutes > 0 else ""
        turned_away = sum(self._rejects.values())
        return rate + (f", {turned_away} turned away" if turned_away else "")


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at that moment: it is another one in each command of a process that runs several."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """The base class sets one; it is not kept."""


def set_up_logging(*, verbose: bool = False) -> None:
    """Log lines of the program itself to stderr; libraries only from warnings up."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if verbose else logging.INFO)

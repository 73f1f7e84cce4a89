"""Lines of stages: what a run does, and who plans it.

A **line** is a generator: it yields a chain of stages, is resumed with their results once all of them are over, and
plans the next chain; an empty chain means that it waits until something else is over or begins. Lines run side by side;
each keeps its own order, so that its plans depend on what it waited for and never on how fast the others are. A line
may begin another one beside itself, and then goes on.

A **planner** holds the lines. The driver's loop tells it which line may go on, and takes what is planned when it is
there: in this process at once (`LinesHere`), from another one when it has thought it through.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, TypeAlias

from pipeline.engine.work.unit import Stage, Unit


@dataclass(slots=True)
class StageResult:
    """The result of a run of a stage. `missing` units have no commit, which makes the exit code non-zero."""

    stage: str
    n_done_before: int = 0
    n_units: int = 0
    n_made: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    seconds: float = 0.0

    @property
    def n_missing(self) -> int:
        """Units that this run took up and did not commit."""
        return self.n_units - self.n_made


@dataclass(frozen=True, slots=True)
class Beside:
    """What a line yields to begin another beside itself."""

    line: Line


Line: TypeAlias = "Generator[Sequence[Stage] | Beside, list[StageResult], None]"
"""See the module docstring."""


class UnitSource(Protocol):
    """Where the units of a stage under way come from: a list that is made as they are taken, here or elsewhere."""

    @property
    def is_listing(self) -> bool:
        """Whether more units of the present list can come."""
        ...

    def ask(self) -> None:
        """Begins a new list: all units that the stage has by now."""
        ...

    def take(self) -> Unit | None:
        """The next unit of the list; None if none is there yet, or the list has ended."""
        ...

    def take_whole(self) -> Sequence[Unit] | None:
        """The whole list, once, if the stage made it at one go; it can still be taken unit by unit."""
        ...


Chain = Sequence[tuple[Stage, UnitSource | None]]
"""Stages, each with the source of its units; None: they are listed in the driver's process."""


class Planner(Protocol):
    """Who plans what stages come next. `n_lines` lines at first, by number; those that they begin follow."""

    n_lines: int

    @property
    def is_busy(self) -> bool:
        """Whether a line that was resumed has not planned yet, or units are being listed elsewhere."""
        ...

    def resume(self, line: int, results: list[StageResult]) -> None:
        """Lets a line go on, with the results of its chain (none at its beginning)."""
        ...

    def planned(self) -> list[tuple[int, Chain | None]]:
        """What lines planned since the last call, new ones too; None: the line has ended. Does not block if it plans
        elsewhere.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Waits until something is planned or listed, at most so long."""
        ...

    def close(self) -> None:
        """Ends all lines."""
        ...


class LinesHere:
    """Lines that plan in this process, where `resume` is called: the caller waits for the plan."""

    is_busy = False

    def __init__(self, lines: Sequence[Line]) -> None:
        self.n_lines = len(lines)
        self._lines = dict(enumerate(lines))
        self._numbers = count(len(lines))
        self._begun: set[int] = set()
        self._planned: list[tuple[int, Chain | None]] = []

    def resume(self, line: int, results: list[StageResult]) -> None:
        """See Planner."""
        stages = self._next_of(line, results)
        if isinstance(stages, Beside):
            self._lines[number := next(self._numbers)] = stages.line
            self.resume(number, [])
            stages = ()
        self._planned.append((line, None if stages is None else [(stage, None) for stage in stages]))

    def _next_of(self, line: int, results: list[StageResult]) -> Sequence[Stage] | Beside | None:
        try:
            stages = self._lines[line].send(results) if line in self._begun else next(self._lines[line])
        except StopIteration:
            del self._lines[line]
            self._begun.discard(line)
            return None
        self._begun.add(line)
        return stages

    def planned(self) -> list[tuple[int, Chain | None]]:
        """See Planner."""
        planned, self._planned = self._planned, []
        return planned

    def wait(self, seconds: float) -> None:
        """See Planner. Nothing is under way elsewhere."""

    def close(self) -> None:
        """See Planner."""
        for line in self._lines.values():
            line.close()


class ListedHere:
    """Units that are listed in this process by `list_units`, one by one as they are taken."""

    def __init__(self, list_units: Callable[[], Iterable[Unit]]) -> None:
        self._list_units = list_units
        self._units: Iterator[Unit] | None = None
        self._whole: Sequence[Unit] | None = None

    @property
    def is_listing(self) -> bool:
        """See UnitSource."""
        return self._units is not None

    def ask(self) -> None:
        """See UnitSource."""
        units = self._list_units()
        self._units, self._whole = iter(units), units if isinstance(units, Sequence) else None

    def take(self) -> Unit | None:
        """See UnitSource."""
        unit = next(self._units, None) if self._units else None
        self._units = self._units if unit else None
        return unit

    def take_whole(self) -> Sequence[Unit] | None:
        """See UnitSource."""
        whole, self._whole = self._whole, None
        return whole


class ListedInThread:
    """Units that are listed in a thread of this process: whoever takes them never waits for the list."""

    def __init__(self, list_units: Callable[[], Iterable[Unit]], thread: ThreadPoolExecutor) -> None:
        self._list_units, self._thread = list_units, thread
        self._listed: Future[list[Unit]] | None = None
        self._units: deque[Unit] = deque()
        self.is_listing = False

    def ask(self) -> None:
        """See UnitSource."""
        self._listed, self.is_listing = self._thread.submit(lambda: list(self._list_units())), True

    def take(self) -> Unit | None:
        """See UnitSource."""
        if self._listed and self._listed.done():
            self._units.extend(self._listed.result())
            self._listed = None
        if self._units:
            return self._units.popleft()
        self.is_listing = self._listed is not None
        return None

    def take_whole(self) -> Sequence[Unit] | None:
        """See UnitSource. More are always to come."""
        return None


def one_chain(*stages: Stage) -> Line:
    """A line that consists of a single chain of stages."""
    yield stages

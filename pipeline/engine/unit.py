"""What the engine needs to know of a stage. Nothing here knows of Ray.

How a unit can end:

    Output        returned: rows, files and rejects, committed together
    Rejected      raised: the unit as a whole is turned away with a reason; committed as rejects
    Transient     raised: refused for now (429, lost connection, object store 5xx); tried again, not charged to the unit
    StopRun       raised: nothing can go well until a person acts; the run ends
    PlaceFailed   raised: this machine's disk, scratch folder or installation failed; no unit is given to it any more
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from manifests.reasons import Reason

if TYPE_CHECKING:
    from pipeline.engine.store import Store

UNIT_NAME = re.compile(r"[A-Za-z0-9_-]{1,96}")


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work. `name` comes from its content, never from its number; `payload` is small and picklable.

    `ids` are the videos that the unit covers: turned away together if the unit as a whole fails. `time_limit_s` is the
    unit's own limit, where its length gives one; 0: that of its stage. `expected_s`: how long it roughly takes, which
    decides nothing but the order in which units begin; 0: not known. `is_fetched`: its stage's `prepare` fetches
    what the unit needs, which takes time and no CPU; on a cluster that is a task of its own.
    """

    name: str
    payload: Any = None
    ids: tuple[str, ...] = ()
    time_limit_s: float = 0.0
    is_fetched: bool = False
    expected_s: float = 0.0

    def __post_init__(self) -> None:
        if not UNIT_NAME.fullmatch(self.name):
            raise ValueError(f"unit name {self.name!r} is not {UNIT_NAME.pattern}")


def content_name(contents: Iterable[str]) -> str:
    """The name of a unit that follows from what is in it, in this order: 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]


def name_over(stage: str, unit: str) -> str:
    """The name of a unit that goes over the part which another stage's unit wrote."""
    name = f"{stage}-{unit}"
    return name if UNIT_NAME.fullmatch(name) else f"{stage}-{hashlib.sha256(unit.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Reject:
    """One video or clip turned away. `retry_after_s` only for class `later`: when to try next, from now."""

    reason: Reason
    video_id: str
    clip_id: str = ""
    detail: str = ""
    retry_after_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Output:
    """What a unit made. `files` are committed in this order, then rows, then rejects, then the commit itself.

    `files` maps a path in the output directory to a finished scratch file; `facts` go into the commit (small JSON).
    """

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    files: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resources:
    """What one unit of a stage takes.

    `max_in_flight`: how many at a time; 0: what its share of the slots gives it. `share`: its weight among the stages
    that share them; a stage that has nothing to do leaves its part to the others.
    """

    n_cpus: float = 1.0
    memory_bytes: int = 4 * 1024**3
    time_limit_s: float = 1800.0
    max_in_flight: int = 0
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Context:
    """Where a unit runs. `scratch` is its own folder, removed whatever happens; `deadline` is on time.monotonic()."""

    store: Store
    scratch: Path
    deadline: float
    attempt: int = 1

    def remaining_s(self) -> float:
        """Seconds left until the unit's time limit, at least 0."""
        return max(0.0, self.deadline - time.monotonic())


class Stage(Protocol):
    """A stage: its units, in a deterministic order from committed inputs alone, and what is done with one.

    `name` is a word of letters, digits and underscores. Running a unit twice gives the same bytes. A stage that gives
    its units as a sequence says with it how many there are, and how long they take.
    """

    @property
    def name(self) -> str: ...

    @property
    def resources(self) -> Resources: ...

    def units(self, store: Store) -> Iterable[Unit]: ...

    def process(self, unit: Unit, context: Context) -> Output: ...


@runtime_checkable
class Fetching(Stage, Protocol):
    """A stage some of whose units need something fetched (`Unit.is_fetched`): `prepare` leaves it in the scratch
    folder, where `process` finds it, or fetches it itself. Paths in there change between the two."""

    def prepare(self, unit: Unit, context: Context) -> None: ...


class Rejected(Exception):
    """The unit (its one video) is turned away: raised where returning a Reject through many frames hides the code."""

    def __init__(self, reason: Reason, detail: str = "", *, clip_id: str = "", retry_after_s: float = 3600.0) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.clip_id = clip_id
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        return _rejected, (self.reason, self.detail, self.clip_id, self.retry_after_s)


def _rejected(reason: Reason, detail: str, clip_id: str, retry_after_s: float) -> Rejected:
    return Rejected(reason, detail, clip_id=clip_id, retry_after_s=retry_after_s)


class Transient(Exception):
    """Temporarily refused. Once the engine's patience is over it becomes a reject with this reason (class `later`)."""

    def __init__(self, reason: Reason, detail: str = "", *, wait_s: float = 0.0) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.wait_s = wait_s

    def __reduce__(self) -> tuple[Any, ...]:
        return _transient, (self.reason, self.detail, self.wait_s)


def _transient(reason: Reason, detail: str, wait_s: float) -> Transient:
    return Transient(reason, detail, wait_s=wait_s)


class PlaceFailed(Exception):
    """The fault of the machine that a unit ran on, not the unit's: its scratch folder, disk or installation."""


class StopRun(Exception):
    """The run ends now; what is committed stays. The detail says what a person has to do."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        return StopRun, (self.reason, self.detail)

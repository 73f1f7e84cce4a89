"""What the engine needs to know about a stage. Nothing here depends on Ray.

How a unit can end:

    Output        returned: rows, files and rejects, committed together
    Rejected      raised: the whole unit is rejected with a reason; committed as rejects
    Transient     raised: refused for now (429, lost connection, object store 5xx); tried again, not charged to the unit
    StopRun       raised: nothing can succeed until a person acts; the run ends
    PlaceFailed   raised: this machine's disk, scratch folder or installation failed; it gets no more units
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from manifests.reasons import AnyReason, Reason

if TYPE_CHECKING:
    from pipeline.engine.store.store import Store
    from pipeline.engine.store.unit_parts import Part

UNIT_NAME = re.compile(r"[A-Za-z0-9_-]{1,96}")


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work. `name` comes from its content, never from its number; `payload` is small and picklable.

    `ids` are the videos that the unit covers: rejected together if the unit fails as a whole. Those of a unit that
    processes a `part` of a table are read from it, and only then. `time_limit_s` is the unit's own limit, if its length
    determines it; 0: that of its stage. `expected_s`: its rough duration, which affects only the order in which units
    begin; 0: unknown. `is_fetched`: its stage's `prepare` fetches what the unit needs, which takes time and no CPU; on
    a cluster that is a task of its own.
    """

    name: str
    payload: Any = None
    ids: tuple[str, ...] = ()
    time_limit_s: float = 0.0
    is_fetched: bool = False
    expected_s: float = 0.0
    part: Part | None = None

    def __post_init__(self) -> None:
        if not UNIT_NAME.fullmatch(self.name):
            raise ValueError(f"unit name {self.name!r} is not {UNIT_NAME.pattern}")


def content_name(contents: Iterable[str]) -> str:
    """A unit name derived from its content, order included: 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]


def name_over(stage: str, unit: str) -> str:
    """The name of a unit that processes the part which another stage's unit wrote."""
    name = f"{stage}-{unit}"
    return name if UNIT_NAME.fullmatch(name) else f"{stage}-{hashlib.sha256(unit.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Reject:
    """One rejected video or clip. `retry_after_s` only for class `later`: seconds from now until the next try."""

    reason: AnyReason
    video_id: str
    clip_id: str = ""
    detail: str = ""
    retry_after_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a unit. `files` are put in place in this order, then rows, then rejects, then the commit itself.

    `files` maps a path in the output directory to a finished scratch file; `facts` go into the commit (small JSON).
    """

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    files: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of a unit of a stage. `n_gpus` may be a fraction; `custom`: a cluster's own ones, by their names.

    `max_in_flight`: how many units at a time; 0: as many as its share of the slots allows. `share`: its weight among
    the stages that share the slots; a stage with nothing to do leaves its share to the others.
    """

    n_cpus: float = 1.0
    memory_bytes: int = 4 * 1024**3
    time_limit_s: float = 1800.0
    max_in_flight: int = 0
    share: float = 1.0
    n_gpus: float = 0.0
    custom: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """The environment of a running unit. `scratch` is its own folder, always removed; `deadline` is on
    time.monotonic(). `began` is told each item as it begins, and returns whether an earlier process died at it.
    """

    store: Store
    scratch: Path
    deadline: float
    attempt: int = 1
    began: Callable[[str], bool] | None = None

    def remaining_s(self) -> float:
        """Seconds left until the unit's time limit, at least 0."""
        return max(0.0, self.deadline - time.monotonic())


class Stage(Protocol):
    """A stage: lists its units, in a deterministic order and from committed inputs alone, and processes a given unit.

    `name` is a word of letters, digits and underscores. Running a unit twice gives the same bytes. A stage that returns
    its units as a sequence thereby tells how many there are, and how long they take.
    """

    @property
    def name(self) -> str: ...

    @property
    def resources(self) -> Resources: ...

    def units(self, store: Store) -> Iterable[Unit]: ...

    def process(self, unit: Unit, context: Context) -> Output: ...


@runtime_checkable
class PerPart(Stage, Protocol):
    """A stage with a unit for each part of a table. `over`: which, as in `Store.parts`.

    In a run it is not asked for all its `units` again and again: it is told of each part once, when it is there.
    """

    @property
    def over(self) -> str: ...

    def unit_name(self, part: Part) -> str: ...

    def units_of(self, store: Store, parts: Sequence[Part]) -> Iterable[Unit]: ...


@runtime_checkable
class Fetching(Stage, Protocol):
    """A stage some of whose units need something fetched (`Unit.is_fetched`): `prepare` leaves it in the scratch
    folder, where `process` finds it; if it is not there, `process` fetches it. The folder's path changes between the
    two.
    """

    def prepare(self, unit: Unit, context: Context) -> None: ...


class Rejected(Exception):
    """Raised to reject the unit (its one video) where returning a Reject through many calls would obscure the code."""

    def __init__(
        self, reason: AnyReason, detail: str = "", *, clip_id: str = "", retry_after_s: float = 3600.0
    ) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.clip_id = clip_id
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        return _rejected, (self.reason, self.detail, self.clip_id, self.retry_after_s)


def _rejected(reason: AnyReason, detail: str, clip_id: str, retry_after_s: float) -> Rejected:
    return Rejected(reason, detail, clip_id=clip_id, retry_after_s=retry_after_s)


class Transient(Exception):
    """Temporarily refused. Once the engine's patience is exhausted it becomes a reject with this reason (class
    `later`).
    """

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
    """The machine that a unit ran on is at fault, not the unit: its scratch folder, disk or installation."""


class StopRun(Exception):
    """The run ends now; what is committed stays. The detail says what a person has to do."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        return StopRun, (self.reason, self.detail)

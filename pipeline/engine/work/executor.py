"""Where units run: a small protocol, and an executor that runs them in this process.

`local` is for debugging with plain stack traces; pipeline.engine.on_ray.cluster has the executor for Ray. Both run the
same stage code and give the same bytes.
"""

import asyncio
import inspect
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from manifests.reasons import Reason
from manifests.run_status import RunStatus, StageStatus
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import Outcome, attempt_unit, reject_unit
from pipeline.engine.work.boundary import DIED
from pipeline.engine.work.noted_attempts import MAX_DEATHS, NotedAttempts
from pipeline.engine.work.unit import Resources, Stage, Unit

Asked = Mapping[str, Mapping[str, Any]]
"""{stage: {field of Resources: value}}: what the settings change of the resources of a stage's units."""


def resources_of(stage: Stage, asked: Asked) -> Resources:
    """The resources of a stage's units: its own, with what the settings change."""
    return replace(stage.resources, **asked.get(stage.name, {}))


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that ended."""

    stage: str
    unit: Unit
    attempt: int
    outcome: Outcome


class Executor(Protocol):
    """Runs attempts. What to submit and what to retry is decided by the driver's loop (pipeline.engine.run.driver)."""

    @property
    def n_slots(self) -> int:
        """How many one-CPU units can run at a time, as of now: a cluster's machines come and go."""
        ...

    @property
    def n_without_slot(self) -> int:
        """Units in flight that hold no slot because what they need is still being fetched."""
        ...

    def begin(self, stage: Stage, store: Store) -> None:
        """Announces a stage: units submitted under its name from now on belong to it. Several stages can be open."""
        ...

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        """Queues an attempt at a unit of a stage that has begun.

        `alone`: on a machine to itself, so that a loss would be the unit's own fault.
        """
        ...

    def collect(self, timeout_s: float) -> Finished | None:
        """Returns the next attempt that ended, or None if none did in this time."""
        ...

    def fence(self, node: str) -> bool:
        """Gives a machine no units for a while, because its disk or installation failed. False if no other machine is
        left.
        """
        ...

    def drop_queued(self) -> dict[str, int]:
        """Drops units that have certainly not begun; returns how many of each stage."""
        ...

    def cancel_all(self) -> None:
        """Cancels what is running; none of it is committed."""
        ...

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """Makes a single object for all workers with `build()`; returns a picklable proxy whose methods block until
        they return.
        """
        ...

    def measure(self, status: StageStatus) -> None:
        """Exports a stage's progress to the cluster's monitoring."""
        ...

    def measure_run(self, status: RunStatus) -> None:
        """Exports how the run as a whole is doing."""
        ...

    def close(self) -> None:
        """Releases workers."""
        ...


class LocalExecutor:
    """Runs one unit at a time in this process. A unit at which that died twice is rejected as `killed_worker`."""

    n_slots = 1
    n_without_slot = 0

    def __init__(self, scratch_root: Path, resources: Asked | None = None) -> None:
        """`resources`: of these, the memory limits count here."""
        self._scratch_root, self._asked = scratch_root, resources or {}
        self._queue: deque[tuple[str, Unit, int]] = deque()
        self._stages: dict[str, tuple[Stage, Store]] = {}
        self._noted: dict[str, NotedAttempts] = {}

    def begin(self, stage: Stage, store: Store) -> None:
        """See Executor."""
        self._stages[stage.name] = (stage, store)
        if store.url not in self._noted:
            self._noted[store.url] = NotedAttempts(store)

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        """See Executor. Everything runs alone here anyway."""
        self._queue.append((stage, unit, attempt))

    def collect(self, timeout_s: float) -> Finished | None:
        """See Executor. Runs the next queued unit now."""
        if not self._queue:
            return None
        name, unit, attempt = self._queue.popleft()
        stage, store = self._stages[name]
        noted, path = self._noted[store.url], f"{name}/{unit.name}"
        with noted.during(path) as n_deaths:
            if n_deaths < MAX_DEATHS:
                limit, began = resources_of(stage, self._asked).memory_bytes, noted.item_began(path)
                root = self._scratch_root
                outcome = attempt_unit(stage, unit, store, root, attempt, memory_bytes=limit, began=began)
            else:
                outcome = reject_unit(name, unit, Reason.KILLED_WORKER, DIED, store, n_deaths)
        return Finished(name, unit, attempt, outcome)

    def fence(self, node: str) -> bool:
        """See Executor. There is no other machine."""
        return False

    def drop_queued(self) -> dict[str, int]:
        """See Executor. Units run only inside `collect`, so all queued ones can be dropped."""
        dropped = Counter(stage for stage, _, _ in self._queue)
        self._queue.clear()
        return dict(dropped)

    def cancel_all(self) -> None:
        """See Executor."""
        self._queue.clear()

    def forgive(self) -> None:
        """Blames no unit for the death of this process any more. For signal handlers."""
        for noted in self._noted.values():
            noted.forgive()

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Executor."""
        return SharedHere(build())

    def measure(self, status: StageStatus) -> None:
        """See Executor. This process has no monitoring."""

    def measure_run(self, status: RunStatus) -> None:
        """See Executor."""

    def close(self) -> None:
        """See Executor."""


class SharedHere:
    """An object whose async methods are run to completion by the caller."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        method = getattr(self._shared, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return asyncio.run(_await(result)) if inspect.isawaitable(result) else result

        return call


async def _await(result: Any) -> Any:
    return await result

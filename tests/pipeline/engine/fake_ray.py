"""A cluster without Ray: its machines are a list, tasks are noted and end as a test says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.engine.on_ray import cluster
from pipeline.engine.on_ray.cluster import RayExecutor
from pipeline.engine.on_ray.running_attempts import Roll
from pipeline.engine.work.attempt import End, Outcome

GIB = 1024**3


def machine(name: str, cpus: float = 4, memory: int = 16 * GIB, *, alive: bool = True, **more: float) -> dict[str, Any]:
    """As ray.nodes() tells of one; `more`: its other resources."""
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus, "memory": memory, **more} if cpus else {}}


@dataclass(frozen=True)
class OnNode:
    """Ray's strategy for one machine, whose ids may be any here."""

    node_id: str
    soft: bool


@dataclass(frozen=True)
class Stored:
    """What lies in Ray's object store."""

    value: Any


@dataclass(eq=False)
class Task:
    """A task that was given to Ray: what it asks for and gets, and how it ended."""

    kind: str
    options: dict[str, Any]
    args: tuple[Any, ...]
    value: Any = None
    is_over: bool = False

    @property
    def unit(self) -> str:
        return str(self.args[2].name)

    @property
    def number(self) -> int:
        return int(self.args[0].number)

    @property
    def home(self) -> str:
        """The one machine that it may run on; "" for any."""
        strategy = self.options["scheduling_strategy"]
        return str(strategy.node_id) if isinstance(strategy, OnNode) and not strategy.soft else ""

    def ends(self, value: Any) -> None:
        """With an outcome, or an error of Ray's."""
        self.value, self.is_over = value, True


@dataclass
class FakeRay:
    """What the executor uses of Ray; `sent` are the tasks in their order."""

    machines: list[dict[str, Any]]
    sent: list[Task] = field(default_factory=list)
    cancelled: list[tuple[Task, bool]] = field(default_factory=list)
    slots_asked: list[int] = field(default_factory=list)
    roll: Roll = field(default_factory=Roll)
    is_shut: bool = False

    def request_resources(self, num_cpus: int, bundles: Sequence[Any] = ()) -> None:
        self.slots_asked.append(num_cpus)

    def is_initialized(self) -> bool:
        return True

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "of the driver")

    def shutdown(self) -> None:
        self.is_shut = True

    def nodes(self) -> list[dict[str, Any]]:
        return list(self.machines)

    def put(self, value: Any) -> Any:
        """What workers read it by: nothing that the driver could use."""
        return Stored(value)

    def get(self, ref: Any, timeout: float | None = None) -> Any:
        if isinstance(ref, list):
            return [self.get(one) for one in ref]
        if isinstance(ref, Task):
            ref = ref.value
        if isinstance(ref, BaseException):
            raise ref
        return ref

    def wait(self, refs: Sequence[Task], *, num_returns: int, timeout: float) -> tuple[list[Task], list[Task]]:
        assert 0 < num_returns <= len(refs)
        over = [ref for ref in refs if ref.is_over][:num_returns]
        return over, [ref for ref in refs if ref not in over]

    def cancel(self, ref: Task, *, force: bool = False) -> None:
        self.cancelled.append((ref, force))

    def begins(self, task: Task, node: str) -> None:
        """Its worker says so."""
        self.roll.begin(task.number, node, f"host-of-{node}", 1, 60.0)

    def of(self, name: str) -> Task:
        """The last task of a unit."""
        return [task for task in self.sent if task.unit == name][-1]


class _Remote:
    """A function or a method that would run elsewhere."""

    def __init__(self, ray: FakeRay, kind: str, options: dict[str, Any] | None = None) -> None:
        self._ray, self._kind, self._options = ray, kind, options or {}

    def options(self, **options: Any) -> _Remote:
        return _Remote(self._ray, self._kind, options)

    def remote(self, *args: Any) -> Task:
        self._ray.sent.append(Task(self._kind, self._options, args))
        return self._ray.sent[-1]


class _RollActor:
    """The roll as its actor's proxy gives it."""

    def __init__(self, ray: FakeRay) -> None:
        self._ray = ray

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._ray.roll, name))


class _Actor:
    """What makes the roll's actor."""

    def __init__(self, ray: FakeRay) -> None:
        self._ray = ray

    def options(self, **options: Any) -> _Actor:
        return self

    def remote(self, *_: Any) -> _RollActor:
        return _RollActor(self._ray)


@contextmanager
def an_executor(machines: list[dict[str, Any]], *, address: str = "", **more: Any) -> Iterator[tuple[FakeRay, Any]]:
    """(the cluster, an executor on it). The list of machines may change; each look at them is a new one."""
    ray = FakeRay(machines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "ray", ray)
        patch.setattr("pipeline.engine.on_ray.machines.ray", ray)
        patch.setattr("pipeline.engine.on_ray.machines.draining_nodes", dict)
        patch.setattr(cluster, "RollActor", _Actor(ray))
        patch.setattr(cluster, "attempt_remotely", _Remote(ray, "attempt"))
        patch.setattr(cluster, "fetch_remotely", _Remote(ray, "fetch"))
        patch.setattr(cluster, "NodeAffinitySchedulingStrategy", OnNode)
        patch.setattr(cluster, "Metrics", lambda: SimpleNamespace(take=print, take_run=print))
        patch.setattr(cluster, "SharedActor", _Actor(ray))
        patch.setattr(cluster, "start_ray", lambda *given: None)
        patch.setattr(cluster, "request_resources", ray.request_resources)
        patch.setattr(cluster, "LOOK_EVERY_S", 0.0)
        patch.setattr("pipeline.engine.on_ray.machines.LOOK_EVERY_S", 0.0)
        yield ray, RayExecutor(Path("scratch"), address=address, **more)


def done(node: str = "") -> Outcome:
    """A unit that was made."""
    return Outcome(End.DONE, None, "", node=node)


def fetched(n_bytes: int) -> Outcome:
    """The first of two tasks: what it fetched lies on its machine."""
    return Outcome(End.FETCHED, None, "", facts={"bytes": n_bytes, "held": "/there/held"})

"""The executor on Ray: one task a unit, bounded by what is in flight; actors only for shared state.

Only paths and small rows travel through Ray. Retries are the driver's business, so tasks are submitted with none of
Ray's own: a lost worker comes back as an outcome and is counted against its unit.
"""

import inspect
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from pipeline.engine.attempt import End, Outcome, attempt_unit, time_limit_of
from pipeline.engine.executor import Finished
from pipeline.engine.limits import process_ends_past
from pipeline.engine.scratch import host_name
from pipeline.engine.store import Store
from pipeline.engine.unit import Stage, Unit

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry; read when ray is imported
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError, WorkerCrashedError

CONNECT_S = 8.0
HARD_LIMIT_GRACE_S = 30.0
"""A worker that does not answer its own time limit (a call stuck in C) is killed this much later."""


class RayExecutor:
    """Units as Ray tasks: on a local Ray by default, on a cluster where an address is given."""

    def __init__(
        self,
        scratch_root: Path,
        *,
        address: str = "",
        n_cpus: int = 0,
        object_store_bytes: int = 256 * 1024**2,
        namespace: str = "hdvila",
    ) -> None:
        self._scratch_root = scratch_root
        self._started_here = not ray.is_initialized()
        if self._started_here:
            _start(address, n_cpus, object_store_bytes, namespace)
        self._in_flight: dict[Any, tuple[str, Unit, int, float]] = {}
        self._stages: dict[str, Stage] = {}
        self._refs: dict[str, Any] = {}
        self._tasks: dict[str, Any] = {}
        self._run = uuid.uuid4().hex[:12]  # of this run: pids of drivers on two machines can be the same
        self._fenced: set[str] = set()

    @property
    def n_slots(self) -> int:
        """CPU slots of the whole cluster now, fenced machines left out."""
        return max(1, int(sum(node["Resources"].get("CPU", 0) for node in self._nodes())))

    def _nodes(self) -> list[dict[str, Any]]:
        """Machines of the cluster that are given units."""
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return [node for node in nodes if node["Alive"] and node["NodeID"] not in self._fenced]

    def begin(self, stage: Stage, store: Store) -> None:
        """See Executor. The stage travels to the object store once, not with each unit."""
        self._stages[stage.name] = stage
        self._refs[stage.name] = ray.put(stage)
        self._store = store
        self._set_task(stage)

    def _set_task(self, stage: Stage) -> None:
        """The task of a stage, kept away from fenced machines."""
        away = {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(self._fenced))})"}} if self._fenced else {}
        # No `memory=` request: Ray would reserve it node-wide and a small machine could then run nothing.
        self._tasks[stage.name] = _attempt_remotely.options(
            num_cpus=stage.resources.n_cpus,
            max_retries=0,
            scheduling_strategy="SPREAD",
            name=f"hdvila:{stage.name}",
            **away,
        )

    def fence(self, node: str) -> bool:
        """See Executor."""
        self._fenced.add(node)
        for stage in self._stages.values():
            self._set_task(stage)
        return any(node["Resources"].get("CPU", 0) for node in self._nodes())

    def submit(self, stage: str, unit: Unit, attempt: int) -> None:
        """See Executor."""
        ref = self._tasks[stage].remote(self._refs[stage], unit, self._store, self._scratch_root, attempt)
        self._in_flight[ref] = (stage, unit, attempt, 0.0)

    def collect(self, timeout_s: float) -> Finished | None:
        """See Executor. Workers past their time limit plus grace are killed here."""
        ready, _ = ray.wait(list(self._in_flight), num_returns=1, timeout=timeout_s) if self._in_flight else ([], [])
        if ready:
            return self._finish(ready[0])
        return self._kill_overdue()

    def _finish(self, ref: Any) -> Finished:
        stage, unit, attempt, _ = self._in_flight.pop(ref)
        try:
            outcome = ray.get(ref)
        except OutOfMemoryError as error:
            outcome = Outcome(End.MEMORY, detail=_first_line(error))
        except RayTaskError as error:
            cause = error.as_instanceof_cause()  # type: ignore[no-untyped-call]
            if isinstance(cause, UserError):
                raise UserError(str(error.cause or cause)) from None
            raise
        except (WorkerCrashedError, TaskCancelledError, RayError) as error:
            outcome = Outcome(End.LOST, detail=_first_line(error))
        return Finished(stage, unit, attempt, outcome)

    def _kill_overdue(self) -> Finished | None:
        """Kills one task past the hard limit. Time counts from the first look at it, with room for its turn."""
        for ref, (stage, unit, attempt, running_since) in self._in_flight.items():
            limit = self._stages[stage].resources.time_limit_s + HARD_LIMIT_GRACE_S
            if not running_since:
                self._in_flight[ref] = (stage, unit, attempt, time.monotonic())
            elif time.monotonic() - running_since > limit * max(1, len(self._in_flight) / self.n_slots):
                ray.cancel(ref, force=True)
                del self._in_flight[ref]
                return Finished(stage, unit, attempt, Outcome(End.TIMEOUT, detail=f"no answer after {limit:.0f} s"))
        return None

    def drop_queued(self) -> dict[str, int]:
        """See Executor. Ray does not tell which of its tasks have begun: all of them may end."""
        return {}

    def cancel_all(self) -> None:
        """See Executor."""
        for ref in self._in_flight:
            ray.cancel(ref, force=True)
        self._in_flight.clear()

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Executor. An async named actor that restarts by building its object anew."""
        actor = _SharedActor.options(  # type: ignore[attr-defined]
            name=f"{name}-{self._run}", get_if_exists=True, max_restarts=-1, max_task_retries=-1, num_cpus=0,
            max_concurrency=10_000,
        )  # fmt: skip
        return SharedThere(actor.remote(build))

    def close(self) -> None:
        """See Executor. Leaves a Ray that others started running."""
        if self._started_here:
            ray.shutdown()


def _start(address: str, n_cpus: int, object_store_bytes: int, namespace: str) -> None:
    environment = {"PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    options: dict[str, Any] = {
        "namespace": namespace,
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "runtime_env": {"env_vars": environment},
    }
    if address:
        _refuse_deaf(address)
        options["address"] = address
    else:
        # "local" starts one of our own; without it Ray would join whatever cluster runs on this machine.
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": object_store_bytes}
        options |= {"num_cpus": n_cpus} if n_cpus else {}
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"Ray at {address}" if address else "a local Ray"
        raise UserError(
            f"{where}: cannot be reached or started ({_first_line(error)}); check engine.ray_address"
        ) from None


def _refuse_deaf(address: str) -> None:
    """UserError at once where nobody listens at an address; Ray itself would try for half a minute or more."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return  # `auto`, or a name that Ray resolves itself
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"Ray at {address}: nobody answers ({error}); check engine.ray_address, and that the head node runs"
        ) from None


@ray.remote
def _attempt_remotely(stage: Stage, unit: Unit, store: Store, scratch_root: Path, attempt: int) -> Outcome:
    with process_ends_past(time_limit_of(stage, unit)):
        outcome = attempt_unit(stage, unit, store, scratch_root, attempt)
    return replace(outcome, node=ray.get_runtime_context().get_node_id(), host=host_name())


@ray.remote
class _SharedActor:
    def __init__(self, build: Callable[[], Any]) -> None:
        self._shared = build()

    async def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = getattr(self._shared, method)(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result


class SharedThere:
    """A picklable proxy of an actor's object: its methods block until they return, giving the task's CPU back."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return ray.get(self._actor.call.remote(name, args, kwargs))

        return call


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]

"""What a worker of the cluster does with a task, and the errors it reports if it can't.

Also the objects that all workers share: each lives in an actor, and workers call it through a proxy.
"""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError

from manifests.errors import UserError
from manifests.plugins import Used, unlike_here
from manifests.reasons import Reason
from manifests.version import build
from pipeline.engine.on_ray.ray_session import first_line
from pipeline.engine.on_ray.running_attempts import Roll
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome, attempt_unit, fetch_for, time_limit_of
from pipeline.engine.work.limits import process_ends_past
from pipeline.engine.work.scratch import host_name
from pipeline.engine.work.unit import Stage, Unit


def raised_there(error: RayTaskError) -> BaseException:
    """The error to raise in the driver for an error that a worker raised outside of what an attempt handles."""
    cause = error.as_instanceof_cause()  # type: ignore[no-untyped-call]
    if isinstance(cause, UserError):
        return UserError(str(error.cause or cause))
    if isinstance(error.cause, ImportError):
        return UserError(
            f"a worker of the cluster cannot run this program ({first_line(error.cause)}); install {build()} there"
        )
    return error


@dataclass(frozen=True, slots=True)
class Briefing:
    """What a worker needs before it begins: the roll to report to, its number there, the driver's build ("": not
    checked), the steps of other packages that it uses, and the unit's memory limit.
    """

    roll: Any
    number: int
    build: str
    steps: tuple[Used, ...] = ()
    memory_bytes: int = 0


def leave_the_terminal() -> None:
    """Replaces this process's standard input by an empty input if it is a terminal.

    Workers inherit the driver's terminal but run in its background: a program started there that reads the terminal, as
    ffmpeg does, would be stopped by the kernel, and the worker with it.
    """
    if not os.isatty(0):
        return
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


@ray.remote
def attempt_remotely(
    briefing: Briefing, stage_in: list[Any], unit: Unit, store: Store, scratch_root: Path, attempt: int, held: str = ""
) -> Outcome:
    folder = Path(held) if held else None
    limit = briefing.memory_bytes

    def work(stage: Stage) -> Outcome:
        return attempt_unit(stage, unit, store, scratch_root, attempt, folder, memory_bytes=limit)

    return _there(briefing, stage_in, unit, work)


@ray.remote
def fetch_remotely(
    briefing: Briefing, stage_in: list[Any], unit: Unit, store: Store, scratch_root: Path, attempt: int, driver: str
) -> Outcome:
    return _there(briefing, stage_in, unit, lambda stage: fetch_for(stage, unit, store, scratch_root, attempt, driver))


def _there(briefing: Briefing, stage_in: list[Any], unit: Unit, work: Callable[[Stage], Outcome]) -> Outcome:
    """Runs a task in a worker: reports its start and enforces the unit's time limit."""
    leave_the_terminal()
    node = ray.get_runtime_context().get_node_id()
    unlike = ""
    if briefing.build and briefing.build != build():
        unlike = f"runs {build()}, the driver {briefing.build}"
    if unlike := unlike or unlike_here(briefing.steps):
        said = f"{host_name()} {unlike}; install the same on both"
        return Outcome(End.PLACE, Reason.PLACE_FAILED, said, node=node, host=host_name())
    stage: Stage = ray.get(stage_in[0])
    limit_s = time_limit_of(stage, unit)
    _say_what_runs(stage, unit)
    briefing.roll.begin.remote(briefing.number, node, host_name(), os.getpid(), limit_s)
    with process_ends_past(limit_s):
        outcome = work(stage)
    return replace(outcome, node=node, host=host_name())


def _say_what_runs(stage: Stage, unit: Unit) -> None:
    """Puts stage and unit into the worker's process title (for Ray's dashboard and `ps`) and its log.

    Ray resets the title when the task is over.
    """
    ray._raylet.setproctitle(f"ray::{stage.name}:{unit.name}")  # type: ignore[attr-defined]
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {stage.name}:{unit.name} begins", file=sys.stderr, flush=True)


RollActor: Any = ray.remote(Roll)


@ray.remote
class SharedActor:
    """Builds an object where the actor runs, again after each restart, and calls its methods, async ones included."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._shared = build()

    async def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = getattr(self._shared, method)(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result


class SharedThere:
    """A picklable proxy of an actor's object: its methods block until they return, and release the task's CPU
    meanwhile. They raise what the object raises: Ray's wrapper would hide storage errors.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return ray.get(self._actor.call.remote(name, args, kwargs))
            except RayTaskError as error:
                if isinstance(error.cause, Exception):
                    raise error.cause from error
                raise

        return call

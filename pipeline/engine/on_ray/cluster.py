"""The executor on Ray: one task per unit, with a bounded number in flight; actors only for shared state.

Only paths and small rows travel through Ray. The driver handles retries, so Ray's own are turned off: a lost worker
comes back as an outcome and is counted against its unit.

Tasks are named after their stage, not their unit: for each task name Ray keeps a metric of some 30 KB in the driver for
as long as the driver lives, and exports it to Prometheus. The unit's name is in the title of its worker's process and
in the log.
"""

import itertools
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    OwnerDiedError,
    RayError,
    RayTaskError,
    TaskUnschedulableError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from manifests.errors import UserError
from manifests.plugins import Used
from manifests.reasons import Reason
from manifests.run_status import RunStatus, StageStatus
from manifests.version import build
from pipeline.engine.on_ray import OBJECT_STORE_BYTES
from pipeline.engine.on_ray.machines import LOOK_EVERY_S, Machines, need_of
from pipeline.engine.on_ray.metrics import Metrics
from pipeline.engine.on_ray.ray_session import first_line, start_ray
from pipeline.engine.on_ray.remote import (
    Briefing,
    RollActor,
    SharedActor,
    SharedThere,
    attempt_remotely,
    fetch_remotely,
    raised_there,
)
from pipeline.engine.on_ray.running_attempts import Begun, Given
from pipeline.engine.on_ray.waiting import Waiting
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome, time_limit_of
from pipeline.engine.work.executor import Asked, Finished, resources_of
from pipeline.engine.work.limits import KILL_AFTER_S
from pipeline.engine.work.unit import Resources, Stage, Unit

log = logging.getLogger("hdvila")

OVERDUE_GRACE_S = 15.0
"""The driver kills a worker that neither its limit nor its own watchdog ended after this many more seconds."""
FORGET_EVERY = 64
ROLL_WAIT_S = 10.0
WAITING_BYTES = 32 * 1024**3


class RayExecutor:
    """Runs units as Ray tasks: on a local Ray by default, on a cluster if an address is given."""

    def __init__(
        self,
        scratch_root: Path,
        *,
        address: str = "",
        n_cpus: int = 0,
        object_store_bytes: int = OBJECT_STORE_BYTES,
        namespace: str = "hdvila",
        waiting: Waiting | None = None,
        steps: tuple[Used, ...] = (),
        resources: Asked | None = None,
    ) -> None:
        self._scratch_root = scratch_root
        self._is_remote, self._asked = bool(address), resources or {}
        self._steps = steps
        self._build = build() if address else ""  # a local Ray runs this process's own code
        self._started_here = not ray.is_initialized()
        if self._started_here:
            start_ray(address, n_cpus, object_store_bytes, namespace)
        self._in_flight: dict[Any, Given] = {}
        self._stages: dict[str, tuple[Stage, Any]] = {}  # with the object reference that workers read it from
        self._resources: dict[str, Resources] = {}
        self._needs: dict[str, dict[str, float]] = {}
        self._run = uuid.uuid4().hex[:12]  # unique to this run: drivers on two machines can share a pid
        self._machines = Machines()
        self._waiting = waiting or Waiting(WAITING_BYTES)
        self._to_fetch: deque[tuple[str, Unit, int]] = deque()
        self._ready: deque[Any] = deque()
        self._numbers = itertools.count()
        self._ended: list[int] = []
        self._metrics = Metrics()
        self._looked_for_overdue = self._looked_for_leaving = self._asked_at = float("-inf")
        self._told: tuple[int, list[dict[str, float]]] = (0, [])
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._roll: Any = RollActor.options(
            name=f"roll-{self._run}", num_cpus=0, max_restarts=-1, scheduling_strategy=here
        ).remote()
        self._say_what_is_nowhere()

    def _say_what_is_nowhere(self) -> None:
        """Logs each demand of the settings that no machine of a cluster can meet; UserError on a local Ray."""
        for stage, asked in self._asked.items():
            said = self._machines.lack(self._need(stage, replace(Resources(), **asked)))
            if said and not self._is_remote:
                self.close()
                raise UserError(f"engine.resources.{stage}: {said}. A local Ray has this machine alone")
            if said:
                log.warning("engine.resources.%s: %s. Its units wait until one joins that has", stage, said)

    def _need(self, stage: str, resources: Resources) -> dict[str, float]:
        """What a unit needs of a machine, by Ray's names; memory only if the settings ask for it (see `_options`)."""
        asks_memory = self._is_remote and "memory_bytes" in self._asked.get(stage, {})
        return need_of(resources) | ({"memory": resources.memory_bytes} if asks_memory else {})

    @property
    def n_slots(self) -> int:
        """CPU slots of the cluster, without fenced machines and those reserved for a single unit."""
        return int(sum(self._machines.slots().values()))

    @property
    def n_without_slot(self) -> int:
        """See Executor."""
        return self._waiting.n_fetching

    def begin(self, stage: Stage, store: Store) -> None:
        """See Executor. The stage goes into the object store once, not with each unit."""
        self._stages[stage.name] = (stage, ray.put(stage))
        self._resources[stage.name] = resources_of(stage, self._asked)
        self._needs[stage.name] = self._need(stage.name, self._resources[stage.name])
        self._store = store

    def fence(self, node: str) -> bool:
        """See Executor."""
        return self._machines.fence(node)

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        """See Executor. With no machine left to reserve, it asks for a slot like any other: so a cluster grows."""
        if unit.is_fetched and not alone:
            self._to_fetch.append((stage, unit, attempt))
            self._fetch_next()
            return
        home = self._machines.roomiest(self._needs[stage]) if alone else ""
        if home:
            self._machines.kept_free.add(home)
        self._give(stage, unit, attempt, home)

    def _give(self, name: str, unit: Unit, attempt: int, home: str) -> None:
        """Submits a unit as a task."""
        task = attempt_remotely.options(name=name, **self._options(name, home))
        self._send(task, Given(next(self._numbers), name, unit, attempt, home))

    def _send(self, task: Any, given: Given, *more: str) -> None:
        memory_bytes = self._resources[given.stage].memory_bytes
        briefing = Briefing(self._roll, given.number, self._build, self._steps, memory_bytes)
        # wrapped in a list, so that a worker compares versions before it unpickles the stage
        stage = [self._stages[given.stage][1]]
        ref = task.remote(briefing, stage, given.unit, self._store, self._scratch_root, given.attempt, *more)
        self._in_flight[ref] = given

    def _fetch_next(self) -> None:
        """Submits fetch tasks in order while a machine has room for what they fetch."""
        while self._to_fetch:
            node = self._waiting.node_for_next(self._machines.slots(self._needs[self._to_fetch[0][0]]))
            if not node:
                return
            name, unit, attempt = self._to_fetch.popleft()
            given = Given(next(self._numbers), name, unit, attempt, fetches_on=node)
            self._waiting.begin(given.number, node)
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            options = {"max_retries": 0, "num_cpus": 0, "scheduling_strategy": there}
            self._send(fetch_remotely.options(name=f"{name}:fetch", **options), given, self._run)

    def _work_on(self, fetch: Given, outcome: Outcome) -> None:
        """Submits the second task of a unit, on the machine that holds what was fetched for it."""
        self._waiting.fetched(fetch.number, outcome.facts["bytes"])
        node = fetch.fetches_on
        given = replace(fetch, number=next(self._numbers), fetches_on="", lies_on=node, waited=fetch.number)
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {**self._options(fetch.stage, ""), "scheduling_strategy": there}
        options.pop("label_selector", None)
        self._send(attempt_remotely.options(name=fetch.stage, **options), given, outcome.facts["held"])

    def _options(self, stage: str, home: str) -> dict[str, Any]:
        """Ray's options for a task: a slot for a unit, or a whole machine for a unit that runs alone."""
        its = self._resources[stage]
        options: dict[str, Any] = {"max_retries": 0, "num_cpus": its.n_cpus}
        options |= {"num_gpus": its.n_gpus} if its.n_gpus else {}
        options |= {"resources": dict(its.custom)} if its.custom else {}
        if home:
            alone_there = NodeAffinitySchedulingStrategy(home, soft=False)
            return options | {"num_cpus": self._machines.cpus_of(home), "scheduling_strategy": alone_there}
        if self._is_remote:  # a local Ray would reserve it, and a small machine could then run nothing
            options["memory"] = self._needs[stage].get("memory") or self._machines.memory_for(its.memory_bytes)
        if away := self._machines.avoided():
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(away)})"}
        return options | {"scheduling_strategy": "SPREAD"}

    def collect(self, timeout_s: float) -> Finished | None:
        """See Executor. Also hands over what a leaving machine cannot end, and kills workers past limit and grace."""
        if time.monotonic() - self._looked_for_leaving > LOOK_EVERY_S:
            self._hand_over()
        self._fetch_next()
        self._ask_for_machines()
        if not self._ready:
            self._ready.extend(self._wait(timeout_s))
        while self._ready:
            ref = self._ready.popleft()
            if ref in self._in_flight:
                return self._finish(ref)
        return self._kill_overdue()

    def _ask_for_machines(self) -> None:
        """Tells an autoscaler now and then how many slots the units in flight could use: a unit that is fetched first
        requests none from Ray, and later a slot on its own machine only.
        """
        if not self._is_remote or time.monotonic() - self._asked_at < LOOK_EVERY_S:
            return
        self._asked_at = time.monotonic()
        stages = [given.stage for given in self._in_flight.values() if not given.fetches_on]
        stages += [stage for stage, *_ in self._to_fetch]
        special = {stage: need for stage, need in self._needs.items() if need.keys() - {"CPU"}}
        asked = sum(stage not in special for stage in stages), [special[stage] for stage in stages if stage in special]
        if asked != self._told:
            request_resources(num_cpus=asked[0], bundles=asked[1])  # type: ignore[no-untyped-call]
            self._told = asked

    def _wait(self, timeout_s: float) -> list[Any]:
        """Waits for an attempt to end and returns all that have: asking about thousands singly takes too long."""
        refs = list(self._in_flight)
        if not refs:
            time.sleep(min(timeout_s, LOOK_EVERY_S / 4))
            return []
        ready, _ = ray.wait(refs, num_returns=1, timeout=timeout_s)
        return list(ray.wait(refs, num_returns=len(refs), timeout=0)[0]) if ready else []

    def _finish(self, ref: Any) -> Finished | None:
        given = self._in_flight.pop(ref)
        try:
            outcome: Outcome | None = ray.get(ref)
        except RayTaskError as error:
            raise raised_there(error) from None
        except RayError as error:
            outcome = self._lost(given, error)
        if outcome is not None and outcome.end is End.FETCHED:
            self._work_on(given, outcome)
            self._strike(given)
            return None
        self._let_go(given)
        if outcome is None:  # it had not begun, so it loses nothing
            self.submit(given.stage, given.unit, given.attempt, alone=bool(given.alone))
            return None
        return Finished(given.stage, given.unit, given.attempt, outcome)

    def _lost(self, given: Given, error: RayError) -> Outcome | None:
        """What the loss of a worker means for its unit. None: the attempt had not begun."""
        begun = self._begun(given.number)
        detail = first_line(error)
        if isinstance(error, OutOfMemoryError):  # Ray chose the victim; the worker itself checks who takes too much
            return _outcome(End.TAKEN, begun, detail, Reason.OVER_MEMORY)
        if isinstance(error, TaskUnschedulableError):  # the machine reserved for it went away first
            return None
        if isinstance(error, _NODE_LOST) or (begun and self._machines.is_gone(begun.node)):
            return _outcome(End.TAKEN, begun, detail, Reason.KILLED_WORKER) if begun else None
        if begun and begun.age_s > time_limit_of(self._stages[given.stage][0], given.unit):
            return _outcome(End.TIMEOUT, begun, f"did not end by itself; killed after {begun.age_s:.0f} s")
        return _outcome(End.LOST, begun, detail)

    def _begun(self, number: int) -> Begun | None:
        begun: Begun | None = self._answer(self._roll.of.remote(number), None)
        return begun

    def _answer(self, asked: Any, otherwise: Any) -> Any:
        """The roll's answer, or `otherwise` if the roll went away with its machine or was killed, and is starting
        afresh.
        """
        try:
            return ray.get(asked, timeout=ROLL_WAIT_S)
        except RayError:
            return otherwise

    def _let_go(self, given: Given) -> None:
        """Removes an attempt from the roll and releases the machine that was reserved for it."""
        self._strike(given)
        self._waiting.end(given.number if given.fetches_on else given.waited)
        if given.alone:
            self._machines.kept_free.discard(given.alone)
            self._give_again()

    def _strike(self, given: Given) -> None:
        self._ended.append(given.number)
        if len(self._ended) >= FORGET_EVERY:
            self._roll.forget.remote(self._ended)
            self._ended = []

    def _give_again(self) -> None:
        """Resubmits attempts that have not begun: they were submitted to avoid a machine that is free again."""
        chosen = (given.alone or given.fetches_on or given.waited >= 0 for given in self._in_flight.values())
        refs = [ref for ref, has_its_own in zip(self._in_flight, chosen, strict=True) if not has_its_own]
        begun = self._answer([self._roll.of.remote(self._in_flight[ref].number) for ref in refs], [])
        for ref, is_begun in zip(refs, begun, strict=bool(begun)):
            if is_begun is None:
                ray.cancel(ref)
                given = self._in_flight.pop(ref)
                self._give(given.stage, given.unit, given.attempt, "")

    def _hand_over(self) -> None:
        """Takes what machines that leave cannot end from them and submits it again, without a charge: what is fetched
        or waits there, and what began there and is not expected to end in time.
        """
        self._looked_for_leaving = time.monotonic()
        if not (leaving := self._machines.leaving()):
            return
        begun = self._answer(self._roll.on.remote(list(leaving)), {})
        moved: Counter[str] = Counter()
        for ref, given in list(self._in_flight.items()):
            its = begun.get(given.number)
            node = its.node if its else given.alone or given.fetches_on or given.lies_on
            if node not in leaving or (its and given.can_end(its.age_s, leaving[node])):
                continue
            ray.cancel(ref, force=True)
            del self._in_flight[ref]
            self._let_go(given)
            self.submit(given.stage, given.unit, given.attempt, alone=bool(given.alone))
            moved[node] += 1
        for node, n in moved.items():
            log.warning("machine %s leaves: %d of its units are given to others", self._machines.name_of(node), n)

    def _kill_overdue(self) -> Finished | None:
        """Kills an attempt that has run past its limit and that its worker failed to end."""
        if not self._in_flight or time.monotonic() - self._looked_for_overdue < LOOK_EVERY_S:
            return None
        self._looked_for_overdue = time.monotonic()
        overdue = set(self._answer(self._roll.overdue.remote(KILL_AFTER_S + OVERDUE_GRACE_S), ()))
        for ref, given in self._in_flight.items():
            if given.number in overdue:
                ray.cancel(ref, force=True)
                del self._in_flight[ref]
                begun = self._begun(given.number)
                self._let_go(given)
                outcome = _outcome(End.TIMEOUT, begun, "killed past its time limit")
                return Finished(given.stage, given.unit, given.attempt, outcome)
        return None

    def drop_queued(self) -> dict[str, int]:
        """See Executor. Drops only fetches not yet submitted: Ray does not say which tasks have begun, so those may
        finish.
        """
        dropped = Counter(stage for stage, _, _ in self._to_fetch)
        self._to_fetch.clear()
        return dict(dropped)

    def cancel_all(self) -> None:
        """See Executor."""
        for ref in self._in_flight:
            ray.cancel(ref, force=True)
        for left in (self._in_flight, self._machines.kept_free, self._to_fetch, self._ready, self._waiting):
            left.clear()

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Executor. An async named actor; when it restarts it builds its object again."""
        actor = SharedActor.options(  # type: ignore[attr-defined]
            name=f"{name}-{self._run}", get_if_exists=True, max_restarts=-1, max_task_retries=-1, num_cpus=0,
            max_concurrency=10_000,
        )  # fmt: skip
        return SharedThere(actor.remote(build))

    def measure(self, status: StageStatus) -> None:
        """See Executor. Exports it to Prometheus as Ray metrics."""
        self._metrics.take(status)

    def measure_run(self, status: RunStatus) -> None:
        """See Executor."""
        self._metrics.take_run(status)

    def close(self) -> None:
        """See Executor. Leaves a Ray running that this process did not start."""
        if any(self._told):
            request_resources(num_cpus=0)  # type: ignore[no-untyped-call]
        if self._started_here:
            ray.shutdown()


_NODE_LOST = (NodeDiedError, LocalRayletDiedError, ObjectLostError, OwnerDiedError)
"""Ray's errors for a machine that went away while running a task."""


def _outcome(end: End, begun: Begun | None, detail: str, reason: Reason | None = None) -> Outcome:
    return Outcome(end, reason, detail, node=begun.node if begun else "", host=begun.host if begun else "")

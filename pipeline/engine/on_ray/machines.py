"""Which machines of a Ray cluster may get units: those alive, not about to leave, not fenced after a failure, and not
reserved for a unit.
"""

import time
from collections import Counter
from collections.abc import Mapping
from typing import NotRequired, TypedDict

import ray

from pipeline.engine.work.unit import Resources

LOOK_EVERY_S = 2.0
"""Seconds between looks at the cluster: machines come and go."""
FENCE_S = 1800.0
"""How long a failed machine gets no units, in seconds; doubled each time it fails again."""
MOST_MEMORY = 0.8
"""Share of the largest machine's memory that is requested when a stage's limit exceeds it."""


_A_CPU = {"CPU": 1.0}


def need_of(resources: Resources) -> dict[str, float]:
    """What a unit needs of a machine, by Ray's names, without its memory."""
    need = {"CPU": resources.n_cpus, "GPU": resources.n_gpus, **resources.custom}
    return {name: n for name, n in need.items() if n} or _A_CPU


class Node(TypedDict):
    """The fields that are read of a machine from ray.nodes(). `Resources` omits what the machine has none of."""

    NodeID: str
    Alive: bool
    Resources: dict[str, float]
    NodeManagerHostname: NotRequired[str]


def draining_nodes() -> dict[str, int]:
    """{machine: when it leaves, in ms since 1970; 0: no deadline} of those that were told to: by an autoscaler, by
    `ray drain-node`, or by SIGTERM, as before a spot machine or a pod goes. Ray Train and Data read it here, too.
    """
    there: dict[str, int] = ray._private.state.state.get_draining_nodes()
    return there


class Machines:
    """The cluster's machines, by Ray's ids, as of a few seconds ago."""

    def __init__(self) -> None:
        self.kept_free: set[str] = set()
        """Machines reserved for a unit that runs alone."""
        self._nodes: list[Node] = []
        self._leaves_at: dict[str, float] = {}  # by time.time(): Ray's deadline
        self._looked_at = float("-inf")
        self._fenced: dict[str, float] = {}  # until when, on time.monotonic()
        self._n_fenced: Counter[str] = Counter()

    def _look(self) -> None:
        if time.monotonic() - self._looked_at > LOOK_EVERY_S:
            self._nodes, self._looked_at = ray.nodes(), time.monotonic()  # type: ignore[no-untyped-call]
            self._leaves_at = {node: ms / 1000 or float("inf") for node, ms in draining_nodes().items()}

    def _usable(self) -> list[Node]:
        self._look()
        there = (node for node in self._nodes if node["Alive"] and node["NodeID"] not in self._leaves_at)
        return [node for node in there if not self.is_fenced(node["NodeID"])]

    def slots(self, need: Mapping[str, float] = _A_CPU) -> dict[str, int]:
        """How many units with a need fit on each machine, without those kept free; its CPU slots if none is given."""
        nodes = (node for node in self._usable() if node["NodeID"] not in self.kept_free)
        return {
            node["NodeID"]: int(min(round(node["Resources"].get(name, 0) / n, 4) for name, n in need.items()))
            for node in nodes
        }

    def lack(self, need: Mapping[str, float]) -> str:
        """That no machine has all of a need, in words, with the most that one has of each; "" if one has."""
        if any(self.slots(need).values()):
            return ""
        most = {name: max((node["Resources"].get(name, 0) for node in self._usable()), default=0) for name in need}
        wanted, there = (", ".join(f"{name} {n:g}" for name, n in one.items()) for one in (need, most))
        return f"no machine has {wanted}; at most {there}"

    def leaving(self) -> dict[str, float]:
        """The machines that are about to leave, and in how many seconds; infinite if Ray was told no deadline."""
        self._look()
        return {node: at - time.time() for node, at in self._leaves_at.items()}

    def name_of(self, node: str) -> str:
        """A machine's name, for display; its id if it is gone."""
        return next((one.get("NodeManagerHostname", node) for one in self._nodes if one["NodeID"] == node), node)

    def fence(self, node: str) -> bool:
        """Gives a machine no units for a while; returns whether there is another. The last is not fenced: it
        may have recovered by a later stage or run.
        """
        others = [
            machine for machine in self._usable() if machine["NodeID"] != node and machine["Resources"].get("CPU", 0)
        ]
        if others:
            self._fenced[node] = time.monotonic() + FENCE_S * 2 ** self._n_fenced[node]
            self._n_fenced[node] += 1
        return bool(others)

    def is_fenced(self, node: str) -> bool:
        """Whether a machine gets no units for now."""
        return self._fenced.get(node, 0.0) > time.monotonic()

    def avoided(self) -> list[str]:
        """Machines that no unit may be sent to, sorted."""
        return sorted({*filter(self.is_fenced, self._fenced), *self.kept_free})

    def is_gone(self, node: str) -> bool:
        """Whether a machine has left the cluster, by a look made now."""
        self._looked_at = float("-inf")
        return all(machine["NodeID"] != node for machine in self._usable()) and not self.is_fenced(node)

    def roomiest(self, need: Mapping[str, float]) -> str:
        """The machine with the most room for a need among those not reserved; "" if none has any."""
        free = {node: n for node, n in self.slots(need).items() if n}
        return min(free, key=lambda node: (-free[node], node), default="")

    def cpus_of(self, node: str) -> float:
        """All CPU slots of a machine."""
        return float(next(n["Resources"]["CPU"] for n in self._nodes if n["NodeID"] == node))

    def memory_for(self, limit_bytes: int) -> int:
        """Bytes to request for a stage's limit: at most what the largest machine can give; more would wait for ever."""
        there = [
            int(MOST_MEMORY * node["Resources"].get("memory", 0))
            for node in self._usable()
            if node["Resources"].get("CPU")
        ]
        return min([limit_bytes, *([max(there)] if there else [])])

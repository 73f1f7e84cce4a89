"""Units made in two tasks: what is fetched first waits on its machine's disk for a CPU slot there.

A fetch counts against the number of concurrent fetches and takes no CPU slot. A machine gets no further fetch if what
is on its disk, plus what its fetches under way are expected to bring, would exceed its limit. If the machine goes away,
its units are fetched again.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

FETCHES_A_SLOT = 2
"""Concurrent fetches per CPU slot, if their number is not set."""


@dataclass(slots=True)
class Waiting:
    """What is being fetched and what is held, by machine. `most_fetches`: the limit in all; 0: by the CPU slots."""

    most_bytes: int
    most_fetches: int = 0
    _fetching: dict[int, str] = field(default_factory=dict)
    _held: dict[int, tuple[str, int]] = field(default_factory=dict)
    _n_fetching: Counter[str] = field(default_factory=Counter)
    _n_held: Counter[str] = field(default_factory=Counter)
    _bytes: Counter[str] = field(default_factory=Counter)
    _n_fetched: int = 0
    _n_bytes: int = 0

    @property
    def n_fetching(self) -> int:
        """The number of fetches under way."""
        return len(self._fetching)

    @property
    def n_held(self) -> int:
        """The number of units that were fetched and are not processed yet."""
        return len(self._held)

    def node_for_next(self, slots: Mapping[str, float]) -> str:
        """The machine for the next fetch, given the CPU slots of each: the least busy per slot; "" if none."""
        if self.n_fetching >= (self.most_fetches or FETCHES_A_SLOT * sum(slots.values())):
            return ""
        able = {node: n for node, n in slots.items() if n > 0 and self._has_room(node)}
        return min(able, key=lambda node: (self._n_on(node) / able[node], node), default="")

    def _n_on(self, node: str) -> int:
        return self._n_fetching[node] + self._n_held[node]

    def _has_room(self, node: str) -> bool:
        expected = self._n_bytes / self._n_fetched if self._n_fetched else 0.0
        lies_there = self._bytes[node] + expected * self._n_fetching[node]
        return lies_there + expected <= self.most_bytes or not self._n_on(node)

    def begin(self, number: int, node: str) -> None:
        """Records that an attempt, by its number, begins to fetch on a machine."""
        self._fetching[number] = node
        self._n_fetching[node] += 1

    def fetched(self, number: int, n_bytes: int) -> None:
        """Records that an attempt has fetched what it needs, and its size in bytes."""
        node = self._fetching[number]
        self.end(number)
        self._held[number] = (node, n_bytes)
        self._n_held[node] += 1
        self._bytes[node] += n_bytes
        self._n_fetched += 1
        self._n_bytes += n_bytes

    def end(self, number: int) -> None:
        """Records that nothing of an attempt is left on the machine."""
        if number in self._fetching:
            self._n_fetching[self._fetching.pop(number)] -= 1
        if number in self._held:
            node, n_bytes = self._held.pop(number)
            self._n_held[node] -= 1
            self._bytes[node] -= n_bytes

    def clear(self) -> None:
        """Ends all attempts."""
        for number in (*self._fetching, *self._held):
            self.end(number)

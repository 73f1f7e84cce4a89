"""Units that are made in two tasks: what is fetched first waits on its machine's disk for a CPU slot there.

Fetching takes a place among those that fetch, and no CPU slot. A machine gets no further fetch where what lies on its
disk, and what is expected of those that fetch, would be more than it may hold. Where the machine goes away, its units
are fetched again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

FETCHES_A_SLOT = 2
"""Fetches at a time for each CPU slot, where their number is not set."""


@dataclass(slots=True)
class Waiting:
    """What is fetched and what waits, by machine. `most_fetches`: in all; 0: by the CPU slots."""

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
        """Fetches under way."""
        return len(self._fetching)

    @property
    def n_held(self) -> int:
        """Units whose needs lie on a disk, and that are not worked off."""
        return len(self._held)

    def bytes_on(self, node: str) -> int:
        """What was fetched there and is not worked off."""
        return self._bytes[node]

    def node_for_next(self, slots: Mapping[str, float]) -> str:
        """The machine for the next fetch, by the CPU slots of each: the least busy for its slots; "" for none."""
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
        """An attempt, by its number, begins to fetch."""
        self._fetching[number] = node
        self._n_fetching[node] += 1

    def fetched(self, number: int, n_bytes: int) -> None:
        """It has what it needs: its size in bytes."""
        node = self._fetching[number]
        self.end(number)
        self._held[number] = (node, n_bytes)
        self._n_held[node] += 1
        self._bytes[node] += n_bytes
        self._n_fetched += 1
        self._n_bytes += n_bytes

    def end(self, number: int) -> None:
        """Nothing of it lies there any more."""
        if number in self._fetching:
            self._n_fetching[self._fetching.pop(number)] -= 1
        if number in self._held:
            node, n_bytes = self._held.pop(number)
            self._n_held[node] -= 1
            self._bytes[node] -= n_bytes

    def clear(self) -> None:
        """All have ended."""
        for number in (*self._fetching, *self._held):
            self.end(number)

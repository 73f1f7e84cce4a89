"""Sets of unit names for membership tests only: 8 bytes each, not 100 as in a set of strings."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np

RECENT = 4096
"""Added names are kept apart until there are this many, since a sort takes as long for a single name as for all."""


class Names:
    """A set of names, stored as 64-bit hashes: among ten million, two collide once in 400,000 runs."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._ordered = array("Q")
        self._recent = {_hash(name) for name in names}
        self._settle()

    def add(self, name: str) -> None:
        """Adds a name."""
        if name not in self:
            self._recent.add(_hash(name))
        if len(self._recent) >= RECENT:
            self._settle()

    def __contains__(self, name: str) -> bool:
        wanted = _hash(name)
        at = bisect_left(self._ordered, wanted)
        return (at < len(self._ordered) and self._ordered[at] == wanted) or wanted in self._recent

    def __len__(self) -> int:
        return len(self._ordered) + len(self._recent)

    def _settle(self) -> None:
        known = np.frombuffer(self._ordered, np.uint64) if self._ordered else np.zeros(0, np.uint64)
        merged = np.union1d(known, np.fromiter(self._recent, np.uint64, len(self._recent)))
        self._ordered, self._recent = array("Q", merged.tobytes()), set()


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")

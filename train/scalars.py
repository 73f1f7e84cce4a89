"""Numbers that a step leaves on the device, read some steps at a time.

Asking a GPU for one number makes this process wait until the GPU has done all that it was given, and the GPU then waits
for this process. So the loss, the norm of the gradient and what a model reads off itself stay where they are until
some steps of them are fetched in one transfer. On a CPU they are read at each step: there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Unread:
    """One step's numbers; `step` counts from 1."""

    step: int
    lr: float
    keys: list[str]
    """Of the samples of this rank."""
    n_lost: int
    counts: dict[str, int]
    values: Mapping[str, Tensor | float]


@dataclass(frozen=True, slots=True)
class Read:
    """The same with its values fetched."""

    unread: Unread
    values: dict[str, float]


class Scalars:
    """Steps whose numbers haven't been read."""

    def __init__(self, device: torch.device, every: int) -> None:
        self.every = every if device.type == "cuda" else 1
        """Steps between two reads."""
        self._unread: list[Unread] = []

    def add(self, unread: Unread) -> None:
        """Take in a step without waiting for it."""
        self._unread.append(unread)

    def due(self, step: int) -> bool:
        """Whether this step is one to read at."""
        return step % self.every == 0

    def read(self) -> list[Read]:
        """All that was added since the last read, in order: waits for the device once."""
        unread, self._unread = self._unread, []
        tensors = [value for step in unread for value in step.values.values() if isinstance(value, Tensor)]
        fetched = iter(torch.stack([t.detach().double().reshape(()) for t in tensors]).tolist() if tensors else ())
        return [
            Read(
                step,
                {n: float(next(fetched)) if isinstance(v, Tensor) else float(v) for n, v in step.values.items()},
            )
            for step in unread
        ]

"""Values that a step leaves on the device, fetched for several steps at a time.

Asking a GPU for a number makes this process wait until the GPU has done all its work, and then the GPU waits for this
process. So the loss, the gradient norm and the model's readings stay on the device until those of several steps are
fetched in a single transfer. On a CPU they are read at every step: there is nothing to wait for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Unread:
    """One step's values, still on the device; `step` counts from 1."""

    step: int
    lr: float
    keys: list[str]
    """Keys of this rank's samples."""
    n_lost: int
    counts: dict[str, int]
    values: Mapping[str, Tensor | float]


@dataclass(frozen=True, slots=True)
class Read:
    """A step whose values have been fetched."""

    unread: Unread
    values: dict[str, float]


class Scalars:
    """Collects steps whose values haven't been fetched yet."""

    def __init__(self, device: torch.device, every: int) -> None:
        self.every = every if device.type == "cuda" else 1
        """Steps between two reads."""
        self._unread: list[Unread] = []

    def add(self, unread: Unread) -> None:
        """Adds a step without waiting for the device."""
        self._unread.append(unread)

    def due(self, step: int) -> bool:
        """Whether values should be fetched at this step."""
        return step % self.every == 0

    def read(self) -> list[Read]:
        """Fetches all steps added since the last read, in order; waits for the device once."""
        unread, self._unread = self._unread, []
        tensors = [value for step in unread for value in step.values.values() if isinstance(value, Tensor)]
        fetched = iter(torch.stack([t.detach().double().reshape(()) for t in tensors]).tolist() if tensors else ())
        return [
            Read(step, {n: float(next(fetched)) if isinstance(v, Tensor) else float(v) for n, v in step.values.items()})
            for step in unread
        ]

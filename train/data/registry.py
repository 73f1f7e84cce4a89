"""The views of a sample: which of its members are read, and which tensors they become.

**To add a view**: one file with `make_view(name, config)`, and one line in `VIEWS`. The names of its tensors are what
the model reads in its rows (`train.models.base.Model.forward`); a run takes `data.view`, or its model's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Source = Literal["prepared", "whole"]

VIEWS: dict[str, str] = {  # name: module that makes it
    "hybrid": "train.data.views",
    "high": "train.data.views",
    "low": "train.data.views",
    "mean": "train.data.views",
    "low_upscaled": "train.data.views",
    "image": "train.data.views",
    "picture": "train.data.picture",
    "question": "train.data.questions",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample as a view gives it."""

    arrays: dict[str, npt.NDArray[Any]]
    """By the tensor's name, without the axis of rows."""
    text: str


class SampleView(Protocol):
    """What is taken from a sample. It travels to the workers, so it has to be picklable and small."""

    @property
    def n_pictures(self) -> int:
        """Pictures of a row, for the records' frames/s."""

    def members(self, source: Source) -> tuple[str, ...]:
        """Extensions of the members that it reads from prepared or whole samples."""

    def blank(self) -> dict[str, npt.NDArray[Any]]:
        """A row of zeros: its shapes and types."""

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """A sample's members as arrays; `draw` None: the deterministic view of evaluation.

        Raises SampleBroken (train.data.decode) with the reason for anything that cannot be used.
        """


def make_view(name: str, config: Any) -> SampleView:
    """The view of this name for a training configuration. ValueError for an unknown name."""
    if name not in VIEWS:
        raise ValueError(f"view {name!r} is not one of {', '.join(VIEWS)}")
    view: SampleView = import_module(VIEWS[name]).make_view(name, config)
    return view

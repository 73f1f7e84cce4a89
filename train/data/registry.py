"""The views of a sample: which of its members are read, and which tensors they become.

**To add a view**: one file with `make_view(name, config)`, and one line in `VIEWS`. Models read its tensors from their
rows by name (`train.models.base.Model.forward`); a run uses `data.view`, or else its model's default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from manifests.plugins import load, names_in, refuse_clashes

Source = Literal["prepared", "whole", "film"]

VIEWS: dict[str, str] = {  # name: module that makes it
    "hybrid": "train.data.decode",
    "high": "train.data.decode",
    "low": "train.data.decode",
    "picture": "train.data.picture",
    "question": "train.data.questions",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample, decoded by a view."""

    arrays: dict[str, npt.NDArray[Any]]
    """Arrays by tensor name, without the dimension of rows."""
    text: str


class SampleView(Protocol):
    """Decodes samples. It is sent to the workers, so it has to be picklable and small."""

    @property
    def n_pictures(self) -> int:
        """The number of pictures per row, for the records' frames/s."""

    def members(self, source: Source) -> tuple[str, ...]:
        """The extensions of the members to read from samples of this source."""

    def blank(self) -> dict[str, npt.NDArray[Any]]:
        """A blank row, with the shapes and dtypes of every other."""

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """Decodes a sample's members to arrays; without `draw`, to the deterministic view of evaluation.

        Raises SampleBroken (train.data.decode) with the reason if anything cannot be used.
        """


def make_view(name: str, config: Any) -> SampleView:
    """The view of this name for a training configuration. ValueError for an unknown name."""
    if name not in view_names():
        raise ValueError(f"view {name!r} is not one of {', '.join(view_names())}")
    make = import_module(VIEWS[name]).make_view if name in VIEWS else load("views", name)
    view: SampleView = make(name, config)
    hears = hasattr(config.model, "sound_columns")
    return import_module("train.data.sound").with_sound(view, config.model) if hears else view


def view_names() -> list[str]:
    """The names of all views, those of other packages last. UserError if any has a name of ours."""
    refuse_clashes("views", VIEWS)
    return [*VIEWS, *sorted(names_in("views"))]

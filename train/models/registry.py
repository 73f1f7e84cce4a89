"""The models that can be trained: `model: {kind: NAME, preset: ...}` in the YAML.

**To add a model**: one file (or folder) here that ends in `KIND = ModelKind(...)`, and one line in `MODELS`. It brings

- a section: a subclass of `ModelSection` (base.py) whose `kind` is `Literal["NAME"]` with that default;
- a network: a subclass of `Model` (base.py) whose `forward(batch, only=())` reads rows by their names and gives a named
  tuple; its class attributes name parameter groups, blocks to shard and, where it has them, its two towers;
- `build(config, seed)`: the network with its first weights, the same for the same seed;
- `refuse(config, weights)`: what of the section `objective` it cannot serve, as a ValueError for the reader of a YAML.

**To add an objective**: one file and one line in train/objectives/__init__.py. **To add a view** of a sample (which of
its pixels become tensors of which names): one file and one line in train/data/registry.py. Nothing of loop, checkpoint,
distribution or loader has to know of any of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from train.models.base import Model, ModelSection

MODELS: dict[str, str] = {  # kind: module that holds its KIND
    "hd_vila": "train.models.hd_vila_kind",
    "soho": "train.models.soho.kind",
    "visual_parsing": "train.models.visual_parsing.kind",
}

DEFAULT = "hd_vila"


def refuse_nothing(config: Any, weights: Mapping[str, float]) -> None:
    """Of models that serve every objective that they offer."""
    return


def refuse_answers(config: Any, weights: Mapping[str, float]) -> None:
    """ValueError unless a model has an answering head (`n_answers`) and answering is its one objective, or neither."""
    others = sorted(weights.keys() - {"answers"})
    if config.n_answers and others:
        raise ValueError(
            f"model.n_answers puts an answering head in the place of those of {', '.join(others)}: "
            f"set objective.answers alone"
        )
    if "answers" in weights and not config.n_answers:
        raise ValueError("objective.answers needs model.n_answers, the number of answers to choose from")
    if config.n_pictures == 2 and not config.n_answers:
        raise ValueError("model.n_pictures 2 is for questions about two pictures: set model.n_answers")


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One entry: what is needed to configure, build and feed a model."""

    section: type[ModelSection]
    build: Callable[[Any, int], Model]
    """(section, seed) -> the model with its first weights, in training mode."""
    view: str
    """The view of a sample that it reads unless the run says otherwise: a name in train/data/registry.py."""
    objectives: tuple[str, ...]
    """Names of the objectives whose outputs it can give."""
    groups: tuple[str, ...]
    """Its parameter groups, as `Model.groups`."""
    refuse: Callable[[Any, Mapping[str, float]], None] = refuse_nothing
    """(section, {objective: weight} of those that are on): ValueError for what doesn't go together."""


def kind_named(name: object) -> ModelKind:
    """The entry of a kind. ValueError names the nearest one."""
    if not isinstance(name, str) or name not in MODELS:
        near = difflib.get_close_matches(str(name), MODELS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f" (there are {', '.join(MODELS)})"
        raise ValueError(f"kind {name!r} is not a model{hint}")
    found = import_module(MODELS[name]).KIND
    assert isinstance(found, ModelKind)
    return found


def kind_of(config: ModelSection) -> ModelKind:
    """The entry that a section belongs to."""
    return kind_named(config.kind)


def parse_section(given: Any) -> Any:
    """A mapping as the section of its `kind` (HD-VILA where it names none); anything else as it is."""
    if not isinstance(given, Mapping):
        return given
    return kind_named(given.get("kind", DEFAULT)).section.model_validate(dict(given))


def sections() -> dict[str, type[ModelSection]]:
    """Every kind's section; without a name where there is but one kind."""
    return {name if len(MODELS) > 1 else "": kind_named(name).section for name in MODELS}


def build_model(config: ModelSection, *, seed: int) -> Model:
    """The model of a section with its first weights, in training mode, every objective's parameters trainable."""
    return kind_of(config).build(config, seed)

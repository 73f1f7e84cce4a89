"""The models that can be trained: `model: {kind: NAME, preset: ...}` in the YAML.

**To add a model**: one file (or folder) here that ends in `KIND = ModelKind(...)`, and one line in `MODELS`. It needs

- a section: a subclass of `ModelSection` (base.py) whose `kind` is `Literal["NAME"]` with that default;
- a network: a subclass of `Model` (base.py) whose `forward(batch, only=())` reads rows by name and returns a named
  tuple; its class attributes name blocks to shard and its two towers, if it has any;
- `build(config, seed)`: the network with its initial weights, the same for the same seed;
- `refuse(config, weights)`: raises a ValueError, for the author of a YAML, if it cannot serve the section `objective`.

**To add an objective**: one file, and one line in train/objectives/__init__.py. **To add a view** of a sample (which of
its pixels become tensors, and their names): one file, and one line in train/data/registry.py. Loop, checkpoints,
distribution and loader need no changes for any of them.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from manifests.errors import UserError
from manifests.plugins import load, names_in, package_of, refuse_clashes
from train.models.base import Model, ModelSection

MODELS: dict[str, str] = {  # kind: module that holds its KIND
    "hd_vila": "train.models.hd_vila_kind",
    "hd_vila_sound": "train.models.sounding",
    "soho": "train.models.soho.kind",
    "visual_parsing": "train.models.visual_parsing.kind",
    "vit": "train.models.vit.kind",
}

DEFAULT = "hd_vila"


def refuse_nothing(config: Any, weights: Mapping[str, float]) -> None:
    """`ModelKind.refuse` of models that can serve every combination of their objectives."""
    return


def refuse_answers(config: Any, weights: Mapping[str, float]) -> None:
    """Raises ValueError unless the model has an answering head (`n_answers`) and answering as its only objective, or
    neither.
    """
    others = sorted(weights.keys() - {"answers"})
    if config.n_answers and others:
        raise ValueError(
            f"model.n_answers puts an answering head in the place of those of {', '.join(others)}: "
            f"set objective.answers alone"
        )
    if "answers" in weights and not config.n_answers:
        raise ValueError("objective.answers needs model.n_answers, the number of answers to choose from")


@dataclass(frozen=True, slots=True)
class ModelKind:
    """An entry of the registry: what is needed to configure, build and feed a model."""

    section: type[ModelSection]
    build: Callable[[Any, int], Model]
    """(section, seed) -> the model with its initial weights, in training mode."""
    view: str
    """Its default view of a sample: a name in train/data/registry.py."""
    objectives: tuple[str, ...]
    """Names of the objectives that it can be trained with."""
    refuse: Callable[[Any, Mapping[str, float]], None] = refuse_nothing
    """(section, {objective: weight} of active ones): raises ValueError for what doesn't go together."""


def kind_named(name: object) -> ModelKind:
    """The entry of a kind. ValueError for an unknown name suggests the nearest."""
    refuse_clashes("models", MODELS)
    known = [*MODELS, *names_in("models")]
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f" (there are {', '.join(known)})"
        raise ValueError(f"kind {name!r} is not a model{hint}")
    kind = import_module(MODELS[name]).KIND if name in MODELS else load("models", name)
    if not isinstance(kind, ModelKind):
        raise UserError(f"{name} of models: {package_of('models', name)} brings something else than a ModelKind")
    return kind


def kind_of(config: ModelSection) -> ModelKind:
    """The entry that a section belongs to."""
    return kind_named(config.kind)


def parse_section(given: Any) -> Any:
    """Parses a mapping as the section of its `kind` (default HD-VILA); returns anything else unchanged."""
    if not isinstance(given, Mapping):
        return given
    return kind_named(given.get("kind", DEFAULT)).section.model_validate(dict(given))


def sections() -> dict[str, type[ModelSection]]:
    """{kind: section}; the key is "" if there is only one kind."""
    return {name if len(MODELS) > 1 else "": kind_named(name).section for name in MODELS}


def build_model(config: ModelSection, *, seed: int) -> Model:
    """Builds a section's model with its initial weights, in training mode, all objectives' parameters trainable."""
    return kind_of(config).build(config, seed)

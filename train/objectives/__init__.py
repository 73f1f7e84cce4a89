"""The objectives. A run's loss is the weighted sum of those whose weight in the section `objective` isn't 0.

**To add an objective**: one file here that ends in an `Objective` (base.py), and one line in `OBJECTIVES`. Its
`settings` add its keys to the section `objective`; its `prepare` adds labels to a batch; its `loss` reads outputs and
rows by name. Models say in their registration whether they support it, and with which settings.

The order matters: `prepare` runs from top to bottom (words are masked before texts are exchanged).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from manifests.plugins import WithPlugins, load
from manifests.settings import Section
from train.losses import Spans
from train.objectives.answers import ANSWERS
from train.objectives.base import Draw, Objective
from train.objectives.contrastive import CONTRASTIVE
from train.objectives.distill import DISTILL
from train.objectives.itm import ITM
from train.objectives.mfr import MFR
from train.objectives.mlm import MLM
from train.objectives.mvm import MVM
from train.objectives.sound import SOUND
from train.rows import Rows

OBJECTIVES: list[Objective] = [CONTRASTIVE, MLM, ITM, MVM, MFR, ANSWERS, DISTILL, SOUND]

__all__ = ["OBJECTIVES", "Draw", "Objective", "Spans", "active", "objective_section", "parse_objective", "prepare"]


def objective_section() -> type[Section]:
    """The class of the section `objective`, with the keys of all objectives."""
    return _section_of(tuple(objective.settings for objective in OBJECTIVES))


@lru_cache
def _section_of(settings: tuple[type[Section], ...]) -> type[Section]:
    # Reversed, because pydantic puts the fields of the last base first.
    return type(
        "ObjectiveConfig", settings[::-1], {"__doc__": "What is minimised: a weighted sum.", "__module__": __name__}
    )


def parse_objective(given: Any) -> Any:
    """Parses a mapping as the section `objective`, with the keys of other packages' objectives that it names."""
    section = objective_section()
    if not isinstance(given, Mapping):
        return given
    parsed = WithPlugins(section, "objectives", _settings_of)(given)
    return section.model_validate(dict(given)) if parsed is given else parsed


def _settings_of(name: str, objective: Objective) -> type[Section]:
    if objective.name != name or name not in objective.settings.model_fields:
        raise ValueError(f"an objective called {objective.name}, whose weight is not the key {name}")
    return objective.settings


def active(config: Any) -> list[tuple[Objective, float]]:
    """The objectives of a run (weight not 0) with their weights: ours as in the registry, then other packages'."""
    every: list[Objective] = [*OBJECTIVES, *(load("objectives", name) for name in type(config).packages)]
    return [(objective, weight) for objective in every if (weight := float(getattr(config, objective.name)))]


def prepare(batch: Rows, draw: Draw, config: Any) -> Rows:
    """Adds the labels of the run's objectives to a batch (on the CPU). All ranks call it together."""
    for objective, _ in active(config):
        if objective.prepare is not None:
            batch = batch.having(objective.prepare(batch, draw, config))
    return batch

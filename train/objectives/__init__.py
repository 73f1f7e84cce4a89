"""The objectives. A run's loss is the weighted sum of those whose weight in the section `objective` isn't 0.

**To add an objective**: one file here that ends in an `Objective` (base.py), and one line in `OBJECTIVES`. Its
`settings` add its keys to the section `objective`; its `prepare` adds labels to a batch; its `loss` reads outputs and
rows by name. Models say in their registration whether they support it, and with which settings.

The order matters: `prepare` runs from top to bottom (words are masked before texts are exchanged).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from manifests.settings import Section
from train.losses import Spans
from train.objectives.answers import ANSWERS
from train.objectives.base import Draw, Objective
from train.objectives.contrastive import CONTRASTIVE
from train.objectives.itm import ITM
from train.objectives.mfr import MFR
from train.objectives.mlm import MLM
from train.objectives.mvm import MVM
from train.rows import Rows

OBJECTIVES: list[Objective] = [
    CONTRASTIVE,
    MLM,
    ITM,
    MVM,
    MFR,
    ANSWERS,
]

__all__ = ["OBJECTIVES", "Draw", "Objective", "Spans", "active", "objective_section", "prepare"]


def objective_section() -> type[Section]:
    """The class of the section `objective`, with the keys of all objectives."""
    return _section_of(tuple(objective.settings for objective in OBJECTIVES))


@lru_cache
def _section_of(settings: tuple[type[Section], ...]) -> type[Section]:
    # Reversed, because pydantic puts the fields of the last base first.
    return type(
        "ObjectiveConfig", settings[::-1], {"__doc__": "What is minimised: a weighted sum.", "__module__": __name__}
    )


def active(config: Any) -> list[tuple[Objective, float]]:
    """The objectives of a run (weight not 0) with their weights, in the order of the registry."""
    return [(objective, weight) for objective in OBJECTIVES if (weight := float(getattr(config, objective.name)))]


def prepare(batch: Rows, draw: Draw, config: Any) -> Rows:
    """Adds the labels of the run's objectives to a batch (on the CPU). All ranks call it together."""
    for objective, _ in active(config):
        if objective.prepare is not None:
            batch = batch.having(objective.prepare(batch, draw, config))
    return batch

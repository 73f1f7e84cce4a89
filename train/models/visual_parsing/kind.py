"""Registers Visual Parsing with the trainer."""

from __future__ import annotations

from train.models.registry import ModelKind, refuse_answers
from train.models.visual_parsing.configs import VisualParsingConfig
from train.models.visual_parsing.init import build_visual_parsing
from train.models.visual_parsing.model import VisualParsing


def build(config: VisualParsingConfig, seed: int) -> VisualParsing:
    """Calls `init.build_visual_parsing`."""
    return build_visual_parsing(config, seed=seed)


KIND = ModelKind(
    section=VisualParsingConfig,
    build=build,
    view="picture",
    objectives=("mlm", "itm", "mfr", "answers"),
    groups=VisualParsing.groups,
    refuse=refuse_answers,
)

"""Visual Parsing: `build_visual_parsing(VisualParsingConfig(preset="tiny"), seed=0)(batch)`; see model.py."""

from train.models.visual_parsing.configs import VisualParsingConfig
from train.models.visual_parsing.kind import build_visual_parsing
from train.models.visual_parsing.model import VisualParsing, VisualParsingOutput

__all__ = [
    "VisualParsing",
    "VisualParsingConfig",
    "VisualParsingOutput",
    "build_visual_parsing",
]

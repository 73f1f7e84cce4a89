"""Visual Parsing's configuration. Neither code nor weights were published: sizes that the paper doesn't give are ours.

visual_parsing   Swin-T over 224x224 pixels, 12 Transformer layers of BERT's size
tiny             the same parts at a hundredth of the cost
"""

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from manifests.settings import identity
from train.models.picture_text import PictureTextSection, Size

Four = tuple[int, int, int, int]

PARSERS: dict[str, dict[str, Any]] = {
    "swin_t": {"parser_width": 96, "drop_path": 0.2},
    "swin_s": {"parser_width": 96, "drop_path": 0.3},
    "swin_b": {"parser_width": 128, "drop_path": 0.5},
    "own": {},
}

DEPTHS: dict[str, Four] = {
    "swin_t": (2, 2, 6, 2),
    "swin_s": (2, 2, 18, 2),
    "swin_b": (2, 2, 18, 2),
    "own": (1, 1, 2, 1),
}
HEADS: dict[str, Four] = {
    "swin_t": (3, 6, 12, 24),
    "swin_s": (3, 6, 12, 24),
    "swin_b": (4, 8, 16, 32),
    "own": (1, 2, 4, 8),
}
"""Blocks and attention heads of the parser's four stages: torchvision's, and those of the smallest that parses."""

PRESETS: dict[str, dict[str, Any]] = {
    "visual_parsing": {},
    "tiny": {
        "image_size": (128, 192),
        "parser": "own",
        "parser_width": 24,
        "drop_path": 0.0,
        "width": 128,
        "n_heads": 4,
        "n_layers": 2,
        "vocab_size": 2048,
        "text_length": 40,
        "max_text_positions": 64,
    },
}


class VisualParsingConfig(PictureTextSection):
    """The configuration of a Visual Parsing model. Sizes are (height, width) in pixels."""

    sources = ("parser_weights", "bert_weights", "model_weights")
    fixed = ("parser_depths", "parser_heads", "parser_window", "mfr_share")
    mfr_share: ClassVar[float] = 0.15
    """Share of a picture's tokens that are masked together: that of words, the paper gives none."""

    kind: Literal["visual_parsing"] = identity("visual_parsing", doc="the model")
    preset: Literal["visual_parsing", "tiny"] = identity(
        "visual_parsing", doc="architecture whose values the other keys default to"
    )

    image_size: Size = identity(
        (224, 224), doc="canvas that pictures are fitted into, (height, width): multiples of 32"
    )
    image_fit: Literal["pad", "crop"] = identity(
        "crop", doc="crop: the canvas is filled; pad: the whole picture at the canvas' top left"
    )
    parser: Literal["swin_t", "swin_s", "swin_b", "own"] = identity(
        "swin_t", doc="the Swin Transformer that parses pictures; own: a small one, with the width given"
    )
    parser_width: int = identity(96, ge=8, doc="channels of the parser's first stage; stage k has 2^k times as many")
    drop_path: float = identity(0.2, ge=0, lt=1, doc="stochastic depth of the parser's last block; the first has none")
    n_layers: int = identity(12, ge=1, doc="Transformer layers over text and picture")
    parser_weights: str = identity(
        "random", doc="initial weights of the parser: random | imagenet (torchvision's) | a file"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        start = PRESETS.get(given.get("preset", "visual_parsing"), {})
        parser = given.get("parser", start.get("parser", "swin_t"))
        return {**start, **PARSERS.get(parser, {}), **given}

    @model_validator(mode="after")
    def _fits_together(self) -> "VisualParsingConfig":
        self.check_sizes()
        if self.parser_width % self.parser_heads[0]:
            raise ValueError(f"parser_width {self.parser_width} is not a multiple of {self.parser_heads[0]} heads")
        return self

    @property
    def parser_depths(self) -> Four:
        """Blocks in the parser's four stages."""
        return DEPTHS[self.parser]

    @property
    def parser_heads(self) -> Four:
        """Attention heads in the parser's four stages."""
        return HEADS[self.parser]

    @property
    def parser_window(self) -> Size:
        """(rows, columns) of cells that attend to each other: the whole last map, which is 7x7 of 224x224 pixels.

        Torchvision's have 7x7 over every canvas, since their weights hold a table of that size."""
        return self.grid if self.parser == "own" else (7, 7)

    @property
    def grid(self) -> Size:
        """(rows, columns) of visual tokens."""
        return self.image_size[0] // 32, self.image_size[1] // 32

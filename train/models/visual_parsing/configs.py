"""Visual Parsing's configuration. Neither code nor weights were published: sizes that the paper doesn't give are ours.

visual_parsing   Swin-T over 224x224 pixels, 12 Transformer layers of BERT's size
tiny             the same parts at a hundredth of the cost
"""

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from manifests.settings import identity, operational
from train.models.base import ModelSection

Size = tuple[int, int]
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


class VisualParsingConfig(ModelSection):
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
    width: int = identity(768, ge=8, doc="size of every token")
    n_heads: int = identity(12, ge=1, doc="attention heads")
    n_layers: int = identity(12, ge=1, doc="Transformer layers over text and picture")
    dropout: float = identity(0.1, ge=0, lt=1, doc="dropout of the Transformer")
    init_std: float = identity(
        0.02,
        gt=0,
        doc="standard deviation of new Linear and Embedding weights: BERT's, which suits 768 channels; "
        "narrow models learn to use pictures much sooner with 1 / sqrt(width)",
    )
    vocab_size: int = identity(30522, ge=8, doc="WordPiece vocabulary; the run's tokenizer may not exceed it")
    text_length: int = identity(16, ge=4, doc="tokens of a sentence, [CLS] and [SEP] included; longer ones are cut")
    max_text_positions: int = identity(512, ge=4, doc="rows of the text position table")
    n_answers: int = identity(
        0,
        ge=0,
        doc="classes of an answering head, which replaces pre-training's heads (VQA 2.0: 3129); 0 for pre-training",
    )
    n_pictures: Literal[1, 2] = identity(1, doc="pictures per row, with n_answers: 2 for NLVR2")

    parser_weights: str = identity(
        "random", doc="initial weights of the parser: random | imagenet (torchvision's) | a file"
    )
    bert_weights: str = identity(
        "random",
        doc="initial weights of BERT's layers, with its vocabulary: random | a Hugging Face name | a folder or file",
    )
    model_weights: str = identity("", doc="a whole model to start from: an exported folder or an official file")
    gradient_checkpointing: bool = operational(False, doc="recompute Transformer layers in the backward pass")

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
        if any(side % 32 or side <= 0 for side in self.image_size):
            raise ValueError(f"image_size {self.image_size} must be multiples of 32")
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")
        if self.width % 4:
            raise ValueError(f"width {self.width} is not a multiple of 4: half of the position code is sines of rows")
        if self.text_length > self.max_text_positions:
            raise ValueError(f"text_length {self.text_length} exceeds max_text_positions {self.max_text_positions}")
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

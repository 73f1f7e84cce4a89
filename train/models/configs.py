"""HD-VILA's configuration: three presets of the same architecture, in which every number can be overridden.

    hd_vila        the published model: ResNet-50 twice, 1024 wide, 24 BERT layers, 640x1024 pixels
    hd_vila_base   768 wide, 12 BERT layers: trains on one 24 GiB GPU
    tiny           the same structure at 1/100 of the cost: learns on two CPU cores in minutes

In YAML, `model: {preset: tiny, width: 192}` means tiny with one number changed.
"""

import warnings
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from manifests.settings import identity, operational
from train.models.base import ModelSection

# `Section.stage` is a stage of the pipeline; the model's `stage` is what the paper calls a stage.
warnings.filterwarnings("ignore", message='Field name "stage" in "ModelConfig" shadows')

Size = tuple[int, int]

PRESETS: dict[str, dict[str, Any]] = {
    "hd_vila": {},
    "hd_vila_base": {
        "width": 768,
        "n_heads": 12,
        "n_text_layers": 6,
        "n_multimodal_layers": 6,
        "gradient_checkpointing": True,
    },
    "tiny": {
        "high": (192, 320),
        "n_segments": 1,
        "trunk_width": 16,
        "trunk_depths": (1, 1, 1, 1),
        "trunk_norm": "group",
        "width": 128,
        "n_heads": 4,
        "n_space_time_blocks": 2,
        "n_text_layers": 2,
        "n_multimodal_layers": 2,
        "vocab_size": 2048,
        "text_length": 24,
        "max_text_positions": 64,
        "learn_temperature": True,
    },
}


class ModelConfig(ModelSection):
    """The configuration of an HD-VILA. Sizes are (height, width) in pixels."""

    sources = ("trunk_weights", "bert_weights", "model_weights")
    fixed = ("position_grid", "position_frames", "max_visual_rows", "logit_bias")
    position_frames: ClassVar[int] = 7
    """Length of the learned time embedding, which others interpolate: as published."""
    logit_bias: ClassVar[float] = -10.0
    """Added to SigLIP logits (the first value if it is learned): its authors' value, since most pairs do not match."""

    kind: Literal["hd_vila"] = identity("hd_vila", doc="the model")
    preset: Literal["hd_vila", "hd_vila_base", "tiny"] = identity(
        "hd_vila", doc="architecture whose values the other keys default to"
    )
    stage: Literal[1, 2] = identity(  # type: ignore[assignment, misc]
        1, doc="1: video and text encoders; 2: with the multimodal layers and masked language modelling"
    )
    freeze_stage1: bool = identity(False, doc="in stage 2, freeze what stage 1 trained (no gradient, evaluation mode)")
    itm: bool = identity(False, doc="in stage 2, also train the matching head (batches must carry itm_labels)")
    n_answers: int = identity(
        0,
        ge=0,
        doc="outputs of an answering head over the multimodal layers (stage 2), in place of the heads of pre-training: "
        "the answers to choose from (MSRVTT-QA: 1500), or 1 to choose among texts or to count; 0 for none",
    )

    high: Size = identity(
        (640, 1024), doc="centre frame, (height, width) in pixels: multiples of 64; the others have a quarter"
    )
    n_frames: int = identity(7, ge=3, doc="frames of a segment, the high-resolution centre frame included")
    n_segments: int = identity(2, ge=1, doc="segments sampled from a clip, averaged into one embedding")

    trunk_width: int = identity(
        64, ge=4, doc="channels of the convolutional trunks' stem; stage k ends with 4*2^k times it"
    )
    trunk_depths: tuple[int, int, int, int] = identity((3, 4, 6, 3), doc="blocks in the trunk's four stages")
    trunk_norm: Literal["frozen_batch", "group"] = identity(
        "frozen_batch",
        doc="frozen_batch: fixed batch statistics (for trained weights); group: per sample (for random weights)",
    )
    width: int = identity(1024, ge=8, doc="size of every token and of both embeddings")
    n_heads: int = identity(16, ge=1, doc="attention heads")
    n_space_time_blocks: int = identity(4, ge=1, doc="blocks of the divided space-time Transformer")
    time_init: Literal["zero", "random"] = identity(
        "zero",
        doc="initial weights of attention in time and of the time embedding: zero, as published (frames are "
        "at first independent); random: if nothing pre-trained is loaded and the order of frames has to "
        "be learned",
    )
    drop_path: float = identity(
        0.1, ge=0, lt=1, doc="stochastic depth of the last space-time block; the first has none"
    )
    n_text_layers: int = identity(12, ge=1, doc="BERT layers that see the text alone")
    n_multimodal_layers: int = identity(12, ge=1, doc="BERT layers over text and video (stage 2)")
    dropout: float = identity(0.1, ge=0, lt=1, doc="dropout of the Transformer")
    vocab_size: int = identity(30522, ge=8, doc="WordPiece vocabulary; the run's tokenizer may not exceed it")
    text_length: int = identity(50, ge=4, doc="tokens of a sentence, [CLS] and [SEP] included; longer ones are cut")
    max_text_positions: int = identity(512, ge=4, doc="rows of the text position table")

    temperature: float = identity(0.05, gt=0, doc="similarities are divided by it (the initial value if it is learned)")
    learn_temperature: bool = identity(False, doc="train the temperature (and, for SigLIP, the bias)")

    trunk_weights: str = identity(
        "random",
        doc="initial weights of both trunks: random | imagenet (torchvision's) | a state-dict file or its folder",
    )
    bert_weights: str = identity(
        "random",
        doc="initial weights of BERT's layers, with its vocabulary: random | a Hugging Face name | a folder or file",
    )
    model_weights: str = identity("", doc="a whole model to start from: an exported folder or an official file")
    gradient_checkpointing: bool = operational(
        False, doc="recompute blocks in the backward pass: less memory, about a third more time, equal gradients"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {**PRESETS.get(given.get("preset", "hd_vila"), {}), **given}

    @model_validator(mode="after")
    def _fits_together(self) -> "ModelConfig":
        if any(side % 64 or side <= 0 for side in self.high):
            raise ValueError(f"high {self.high} must be multiples of 64")
        if self.n_frames % 2 == 0:
            raise ValueError(f"n_frames {self.n_frames} must be odd: a centre frame with as many before as after")
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")
        if self.text_length > self.max_text_positions:
            raise ValueError(f"text_length {self.text_length} exceeds max_text_positions {self.max_text_positions}")
        if max(self.grid) > self.max_visual_rows:
            raise ValueError(f"high {self.high} has more than {self.max_visual_rows} rows or columns of 64 pixels")
        if self.freeze_stage1 and self.stage == 1:
            raise ValueError("freeze_stage1 needs stage 2: stage 1 would have nothing left to train")
        if self.itm and self.stage == 1:
            raise ValueError("itm needs stage 2: the matching head sits on the multimodal layers")
        if self.n_answers and (self.stage == 1 or self.itm):
            raise ValueError("n_answers needs stage 2, without itm: its head stands in the place of the others")
        if self.trunk_norm == "group" and self.trunk_width % 4:
            raise ValueError(f"trunk_width {self.trunk_width} must be a multiple of 4 with trunk_norm group")
        return self

    @property
    def low(self) -> Size:
        """(height, width) of the other frames in pixels: a quarter, so that both branches end on one grid."""
        return self.high[0] // 4, self.high[1] // 4

    @property
    def position_grid(self) -> Size:
        """Grid of the learned positions, which other grids interpolate: the published grid; that of `high` if tiny."""
        return self.grid if self.preset == "tiny" else (10, 16)

    @property
    def max_visual_rows(self) -> int:
        """Rows of the row and column position tables of stage 2: as published; few if tiny."""
        return 16 if self.preset == "tiny" else 100

    @property
    def grid(self) -> Size:
        """(rows, columns) of the video feature map at the configured resolution."""
        return self.high[0] // 64, self.high[1] // 64

"""SOHO's configuration: the released architecture, the paper's, and a small model that learns on two CPU cores.

    soho           ResNet-18, 3 Transformer layers: the architecture of the published weights
    soho_paper     ResNet-101, 12 Transformer layers: the paper's best model, whose weights were not published
    tiny           the same parts at a hundredth of the cost

`compat: true` follows the published code wherever numbers depend on it, defects included; the default fixes them.
"""

from typing import Any, Literal

from pydantic import model_validator

from manifests.settings import identity
from train.models.picture_text import PictureTextSection, Size

PRESETS: dict[str, dict[str, Any]] = {
    "soho": {},
    "soho_paper": {"trunk": "bottleneck", "trunk_depths": (3, 4, 23, 3), "n_layers": 12},
    "tiny": {
        "image_size": (128, 192),
        "trunk_width": 16,
        "trunk_depths": (1, 1, 1, 1),
        "norm": "group",
        "frozen_stages": -1,
        "width": 128,
        "n_heads": 4,
        "n_layers": 2,
        "n_entries": 128,
        "vocab_size": 2048,
        "text_length": 40,
        "max_text_positions": 64,
    },
}


class SohoConfig(PictureTextSection):
    """The configuration of a SOHO. Sizes are (height, width) in pixels."""

    sources = ("trunk_weights", "bert_weights", "model_weights")
    fixed = ("pool", "dictionary_decay", "dictionary_floor", "mvm_scale")

    kind: Literal["soho"] = identity("soho", doc="the model")
    preset: Literal["soho", "soho_paper", "tiny"] = identity(
        "soho", doc="architecture whose values the other keys default to"
    )
    compat: bool = identity(
        False,
        doc="follow the published code: a square valid mask, one masked position per batch, a dictionary "
        "updated in the forward pass (statistics start at zero, padding and copies count), cosines "
        "without a scale, words and cells predicted where sentence and picture do not belong together too",
    )

    image_size: Size = identity(
        (640, 1024), doc="canvas that pictures are fitted into, (height, width), multiples of 32"
    )
    image_fit: Literal["pad", "crop"] = identity(
        "pad", doc="pad: the whole picture at the canvas' top left; crop: the canvas is filled"
    )
    trunk: Literal["basic", "bottleneck"] = identity(
        "basic", doc="the trunk's blocks: basic (ResNet-18, 34) or bottleneck (ResNet-50 and deeper)"
    )
    trunk_width: int = identity(64, ge=4, doc="channels of the trunk's stem")
    trunk_depths: tuple[int, int, int, int] = identity((2, 2, 2, 2), doc="blocks in the trunk's four stages")
    norm: Literal["batch", "frozen_batch", "group"] = identity(
        "batch",
        doc="norms of trunk and neck: batch (statistics of the step, over all ranks), frozen_batch (fixed "
        "statistics), group (per picture: for random weights, and the same with micro-batches)",
    )
    frozen_stages: int = identity(
        1, ge=-1, le=4, doc="trunk stages that are frozen: -1: none, 0: the stem, k: the stem and the first k stages"
    )
    n_layers: int = identity(3, ge=1, doc="Transformer layers over text and picture")
    n_entries: int = identity(2048, ge=2, doc="entries of the visual dictionary")

    trunk_weights: str = identity(
        "random", doc="initial weights of the trunk: random | imagenet (torchvision's) | a file"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {**PRESETS.get(given.get("preset", "soho"), {}), **given}

    @model_validator(mode="after")
    def _fits_together(self) -> "SohoConfig":
        self.check_sizes()
        return self

    @property
    def pool(self) -> int:
        """Side of the max-pooling after the trunk: as published; none if tiny, whose grid is small already."""
        return 1 if self.preset == "tiny" else 2

    @property
    def dictionary_decay(self) -> float:
        """Share of the dictionary's moving statistics that each step keeps; a small batch fills few entries a step."""
        if self.compat:
            return 0.4
        return 0.9 if self.preset == "tiny" else 0.99

    @property
    def dictionary_floor(self) -> float:
        """An entry is re-seeded when its moving count of cells per step falls below this; 0: never, as published."""
        return 0.0 if self.compat else 0.05

    @property
    def mvm_scale(self) -> float:
        """Cosines with the dictionary are multiplied by it: without, the loss over 2,048 entries stays above 6.63."""
        return 1.0 if self.compat else 10.0

    @property
    def trunk_channels(self) -> int:
        """Channels of the trunk's feature map."""
        return self.trunk_width * 8 * (4 if self.trunk == "bottleneck" else 1)

    @property
    def grid(self) -> Size:
        """(rows, columns) of visual tokens for the configured canvas."""
        stride = 32 * self.pool
        return self.image_size[0] // stride, self.image_size[1] // stride

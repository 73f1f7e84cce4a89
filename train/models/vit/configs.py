"""vit's configuration. A folder of towers fills in their shapes; without one, a preset does.

vit_b    CLIP's ViT-B/16
tiny     the same structure at 1/100 of the cost
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from manifests.errors import UserError
from manifests.settings import identity, operational
from train.models.base import ModelSection
from train.models.vit.folders import read_shape
from train.models.vit.shapes import ImageShape, TextShape, TowersShape

Size = tuple[int, int]
Tuning = Literal["full", "frozen"]

TINY: dict[str, Any] = {"layers": 2, "heads": 4, "eps": 1e-6, "activation": "gelu", "width": 64, "mlp": 256}
PRESETS: dict[str, dict[str, Any]] = {
    "vit_b": {},
    "tiny": {
        "image": {**TINY, "size": 64, "patch": 8},
        "text": {**TINY, "positions": 24},
        "high": (64, 64),
        "width": 64,
        "n_time_blocks": 1,
        "vocab_size": 2048,
        "text_length": 24,
    },
}


class VitConfig(ModelSection):
    """The configuration of a vit. Sizes are (height, width) in pixels."""

    sources = ("image_weights", "text_weights", "model_weights")

    kind: Literal["vit"] = identity("vit", doc="the model")
    preset: Literal["vit_b", "tiny"] = identity("vit_b", doc="architecture whose values the other keys default to")

    image_weights: str = identity(
        "random",
        doc="the image tower: random | a folder of safetensors as transformers saves it (CLIP, SigLIP, SigLIP 2, "
        "DINOv2)",
    )
    text_weights: str = identity(
        "random", doc="the text tower, and its vocabulary: random | a folder of CLIP, SigLIP or SigLIP 2"
    )
    model_weights: str = identity("", doc="a whole model to start from: an exported folder")
    image: ImageShape = ImageShape()
    text: TextShape = TextShape()
    width: int = identity(512, ge=4, doc="size of both embeddings; with weights, the text tower's")

    high: Size = identity(
        (224, 224), doc="centre frame, (height, width) in pixels: multiples of image.patch; with weights, the tower's"
    )
    low: Size = identity(
        (112, 112), doc="its neighbours, in pixels: multiples of image.patch; half of high, rounded down, if not given"
    )
    n_frames: int = identity(7, ge=3, doc="frames of a segment, the high-resolution centre frame included")
    n_segments: int = identity(1, ge=1, doc="segments sampled from a clip, averaged into one embedding")
    n_time_blocks: int = identity(2, ge=1, doc="blocks of attention in time and space over a segment's frames")

    image_tune: Tuning = identity(
        "full",
        doc="how the image tower learns; full: all its weights; frozen: not at all. Projections into the common space "
        "and attention in time always learn",
    )
    text_tune: Tuning = identity("full", doc="how the text tower learns, as image_tune")

    vocab_size: int = identity(49408, ge=8, doc="token numbers; the run's tokenizer may not exceed it")
    text_length: int = identity(77, ge=3, doc="tokens of a sentence, begin and end included; longer ones are cut")
    temperature: float = identity(
        0.07, gt=0, doc="initial value, if no weights bring one: similarities are divided by it"
    )
    gradient_checkpointing: bool = operational(False, doc="recompute blocks in the backward pass: less memory")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = _merged(PRESETS.get(given.get("preset", "vit_b"), {}), _from_folders(given))
        tree = _merged(found, given)
        high, patch = tree.get("high", (224, 224)), _patch_of(tree)
        if "low" not in tree and patch:
            tree["low"] = tuple(max(int(side) // 2 // patch * patch, patch) for side in high)
        return tree

    @model_validator(mode="after")
    def _fits_together(self) -> "VitConfig":
        for name, size in (("high", self.high), ("low", self.low)):
            if any(side % self.image.patch or side <= 0 for side in size):
                raise ValueError(f"{name} {size} must be multiples of image.patch {self.image.patch}")
        if self.n_frames % 2 == 0:
            raise ValueError(f"n_frames {self.n_frames} must be odd: a centre frame with as many before as after")
        for name, shape in (("image", self.image), ("text", self.text)):
            if shape.width % shape.heads:
                raise ValueError(f"{name}.width {shape.width} is not a multiple of {name}.heads {shape.heads}")
        if self.text_length > self.text.positions:
            raise ValueError(f"text_length {self.text_length} exceeds text.positions {self.text.positions}")
        return self

    @property
    def towers(self) -> TowersShape:
        """The shape of both towers."""
        return TowersShape(image=self.image, text=self.text, width=self.width, vocab_size=self.vocab_size)

    @property
    def n_answers(self) -> int:
        """It answers no questions."""
        return 0

    def words_from(self) -> str:
        """The source of the word table; the run uses its vocabulary."""
        return self.model_weights or ("" if self.text_weights == "random" else self.text_weights)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, with the second's values where both have a key; towers are merged key by key."""
    both = {**below, **above}
    for name in ("image", "text"):
        if isinstance(below.get(name), Mapping) and isinstance(above.get(name), Mapping):
            both[name] = {**below[name], **above[name]}
    return both


def _patch_of(tree: Mapping[str, Any]) -> int:
    image = tree.get("image", {})
    patch = image.get("patch", 16) if isinstance(image, Mapping) else getattr(image, "patch", 0)
    return patch if isinstance(patch, int) and patch > 0 else 0


def _from_folders(given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that folders of weights decide. A run's own configuration, which has them all, needs no folder."""
    found: dict[str, Any] = {}
    for tower in ("image", "text"):
        source, written = str(given.get(f"{tower}_weights", "random")), given.get(tower, {})
        if source == "random" or not isinstance(written, Mapping) or "width" in written:
            continue
        try:
            shape = read_shape(Path(source))
        except UserError as error:
            raise ValueError(f"{tower}_weights: {error}") from None
        if tower == "image":
            found |= {"image": shape.image.model_dump(), "high": (shape.image.size, shape.image.size)}
            continue
        if shape.text is None:
            raise ValueError(f"text_weights: {source} holds no text tower")
        found |= {"text": shape.text.model_dump(), "width": shape.width, "vocab_size": shape.vocab_size}
        found["text_length"] = shape.text.positions
    return found

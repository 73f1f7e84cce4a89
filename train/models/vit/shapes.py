"""The shapes of towers: what their weights need besides their values."""

from typing import Literal

from manifests.settings import Section, identity

Activation = Literal["quick_gelu", "gelu", "gelu_tanh", "swiglu"]
Colour = tuple[float, float, float]

MEANS: dict[str, tuple[Colour, Colour]] = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and deviation of RGB that each family was published with: a folder that says nothing else has these."""


class ImageShape(Section):
    """A vision Transformer."""

    family: Literal["clip", "siglip", "dinov2"] = identity(
        "clip",
        doc="clip: a class token, a norm before the blocks; siglip: no class token, a last block with a learned query; "
        "dinov2: a class token, branches scaled by channel",
    )
    size: int = identity(224, ge=1, doc="side in pixels of the pictures that the learned positions are for")
    patch: int = identity(16, ge=1, doc="side of a patch in pixels")
    width: int = identity(768, ge=4, doc="size of a patch's vector")
    layers: int = identity(12, ge=1, doc="Transformer blocks")
    heads: int = identity(12, ge=1, doc="attention heads")
    mlp: int = identity(3072, ge=4, doc="size of the vectors inside a block's MLP")
    activation: Activation = identity("quick_gelu", doc="what is computed inside a block's MLP")
    eps: float = identity(1e-5, gt=0, doc="epsilon of the norms")
    mean: Colour = identity(MEANS["clip"][0], doc="mean of RGB that is taken off, on a scale of 0 to 1")
    std: Colour = identity(MEANS["clip"][1], doc="what RGB is divided by then")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches that the learned positions are for."""
        return self.size // self.patch, self.size // self.patch


class TextShape(Section):
    """A text Transformer."""

    family: Literal["clip", "siglip"] = identity(
        "clip",
        doc="clip: each token reads those before it, the end token's vector counts; siglip: each reads all, padding "
        "included, and the last one's counts",
    )
    positions: int = identity(77, ge=1, doc="rows of the position table: the most tokens")
    width: int = identity(512, ge=4, doc="size of a token's vector")
    layers: int = identity(12, ge=1, doc="Transformer blocks")
    heads: int = identity(8, ge=1, doc="attention heads")
    mlp: int = identity(2048, ge=4, doc="size of the vectors inside a block's MLP")
    activation: Activation = identity("quick_gelu", doc="what is computed inside a block's MLP")
    eps: float = identity(1e-5, gt=0, doc="epsilon of the norms")
    end: int = identity(
        3,
        ge=-1,
        doc="number of the end token (3: [SEP], as in vocabularies made from captions); -1: the highest number",
    )


class TowersShape(Section):
    """What a folder holds: both towers, or an image tower alone (`text` None, `width` 0)."""

    image: ImageShape
    text: TextShape | None = None
    width: int = 0
    """Size of both embeddings."""
    vocab_size: int = 0

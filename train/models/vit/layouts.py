"""The keys of published towers in transformers: a table for each family, read in both directions.

A table maps a module or parameter of ours to theirs; `{n}` is the number of a block. `.weight` and `.bias` follow, or
stand in place of `{s}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from manifests.errors import UserError
from train.models.vit.shapes import TowersShape
from train.models.weight_files import Shape, key_problems


@dataclass(frozen=True, slots=True)
class Theirs:
    """How a tensor of ours is stored elsewhere."""

    names: tuple[str, ...]
    """Several: ours is theirs, equally large, one below the other."""
    form: Literal["same", "led", "led twice", "bare"] = "same"
    """led: one, or two, more dimensions of size 1 in front; bare: a number, not a list of one."""

    def from_ours(self, tensor: Tensor) -> list[Tensor]:
        """What their tensors would be."""
        match self.form:
            case "led":
                tensor = tensor[None]
            case "led twice":
                tensor = tensor[None, None]
            case "bare":
                tensor = tensor[0]
        if len(self.names) == 1:
            return [tensor]
        return list(tensor.chunk(len(self.names)))

    def to_ours(self, tensors: list[Tensor], shape: Shape) -> Tensor:
        """Ours, from theirs."""
        whole = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
        return whole.reshape(shape).contiguous()


Table = Mapping[str, str | Theirs]


def _blocks(ours: str, theirs: str, names: Table) -> dict[str, str | Theirs]:
    """A table for the blocks of one tower."""
    return {f"{ours}.blocks.{{n}}.{name}": _within(f"{theirs}.{{n}}.", value) for name, value in names.items()}


def _within(prefix: str, value: str | Theirs) -> str | Theirs:
    if isinstance(value, str):
        return prefix + value
    return Theirs(tuple(prefix + name for name in value.names), value.form)


def _stacked(*names: str) -> Theirs:
    return Theirs(names)


def _one(name: str, form: Literal["led", "led twice", "bare"]) -> Theirs:
    return Theirs((name,), form=form)


_HF_BLOCK: Table = {
    "norm1": "layer_norm1",
    "attn.qkv": _stacked("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attn.proj": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_HF: Table = {
    "image.patch_embed": "vision_model.embeddings.patch_embedding",
    "image.position_embed": "vision_model.embeddings.position_embedding.weight",
    "image.norm": "vision_model.post_layernorm",
    "text.token_embed": "text_model.embeddings.token_embedding",
    "text.position_embed": "text_model.embeddings.position_embedding.weight",
    "text.norm": "text_model.final_layer_norm",
    **_blocks("image", "vision_model.encoder.layers", _HF_BLOCK),
    **_blocks("text", "text_model.encoder.layers", _HF_BLOCK),
}
_HF_CLIP: Table = {
    **_HF,
    "image.class_embed": "vision_model.embeddings.class_embedding",
    "image.pre_norm": "vision_model.pre_layrnorm",
    "image_projection": "visual_projection",
    "text_projection": "text_projection",
    "temperature.logit_scale": _one("logit_scale", "bare"),
}
_HF_SIGLIP: Table = {
    **_HF,
    "image.last.probe": _one("vision_model.head.probe", "led twice"),
    "image.last.attn.qkv": "vision_model.head.attention.in_proj_{s}",
    "image.last.attn.proj": "vision_model.head.attention.out_proj",
    "image.last.norm": "vision_model.head.layernorm",
    "image.last.mlp.fc1": "vision_model.head.mlp.fc1",
    "image.last.mlp.fc2": "vision_model.head.mlp.fc2",
    "text_projection": "text_model.head",
    "temperature.logit_scale": "logit_scale",
    "temperature.logit_bias": "logit_bias",
}
_HF_DINO_BLOCK: Table = {
    "norm1": "norm1",
    "attn.qkv": _stacked("attention.attention.query", "attention.attention.key", "attention.attention.value"),
    "attn.proj": "attention.output.dense",
    "scale1": "layer_scale1.lambda1",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "scale2": "layer_scale2.lambda1",
}
_HF_DINOV2: Table = {
    "image.patch_embed": "embeddings.patch_embeddings.projection",
    "image.class_embed": _one("embeddings.cls_token", "led twice"),
    "image.mask_embed": _one("embeddings.mask_token", "led"),
    "image.position_embed": _one("embeddings.position_embeddings", "led"),
    "image.norm": "layernorm",
    **_blocks("image", "encoder.layer", _HF_DINO_BLOCK),
}
_HF_DINOV2_SWIGLU: Table = {
    **_HF_DINOV2,
    **_blocks("image", "encoder.layer", {"mlp.fc1": "mlp.weights_in", "mlp.fc2": "mlp.weights_out"}),
}
BUFFERS = ("position_ids",)
"""Ends of keys in old files that hold no weights."""


def table_of(shape: TowersShape) -> Table:
    """The table for towers of this shape. UserError if transformers has no such model."""
    image, text = shape.image, shape.text
    families = image.family, text.family if text else ""
    tables: dict[tuple[str, str], Table] = {
        ("clip", "clip"): _HF_CLIP,
        ("siglip", "siglip"): _HF_SIGLIP,
        ("dinov2", ""): _HF_DINOV2_SWIGLU if image.activation == "swiglu" else _HF_DINOV2,
    }
    if families not in tables:
        rest = f"with a text tower of {families[1]}" if families[1] else "alone"
        raise UserError(f"an image tower of {families[0]} {rest}: transformers has no such model")
    return tables[families]


def links(own: Mapping[str, Tensor], table: Table) -> dict[str, Theirs]:
    """{key of ours: how theirs are called}; keys of ours that the table has no place for are left out."""
    found = {}
    for key in own:
        numbers = re.findall(r"\.blocks\.(\d+)\.", key)
        plain = re.sub(r"(\.blocks)\.\d+\.", r"\1.{n}.", key)
        module, _, suffix = plain.rpartition(".")
        value = table.get(plain) or table.get(module)
        if value is None:
            continue
        theirs = value if isinstance(value, Theirs) else Theirs((value,))
        bare = plain in table
        names = tuple(_filled(name, numbers, "" if bare else suffix) for name in theirs.names)
        found[key] = Theirs(names, theirs.form)
    return found


def _filled(name: str, numbers: list[str], suffix: str) -> str:
    name = name.replace("{n}", numbers[0]) if numbers else name
    if not suffix:
        return name
    return name.replace("{s}", suffix) if "{s}" in name else f"{name}.{suffix}"


def from_theirs(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], table: Table, source: str
) -> dict[str, Tensor]:
    """Their tensors under our keys. UserError, one message, for missing and surplus ones and for other shapes."""
    known = links(own, table)
    given = {key: tensor for key, tensor in weights.items() if not key.endswith(BUFFERS)}
    wanted = {
        name: tuple(part.shape)
        for key, theirs in known.items()
        for name, part in zip(theirs.names, theirs.from_ours(own[key]), strict=True)
    }
    if problems := key_problems(given, wanted):
        raise UserError(f"{source}: the weights are not those of its configuration; {problems}")
    return {
        key: theirs.to_ours([given[name] for name in theirs.names], tuple(own[key].shape))
        for key, theirs in known.items()
    }


def to_theirs(own: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """Our tensors under their keys."""
    return {
        name: part.detach().cpu().contiguous().clone()
        for key, theirs in links(own, table).items()
        for name, part in zip(theirs.names, theirs.from_ours(own[key]), strict=True)
    }

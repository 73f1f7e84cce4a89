"""The keys of published towers: a table for each layout, read in both directions.

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

Layout = Literal["transformers", "open_clip"]


@dataclass(frozen=True, slots=True)
class Theirs:
    """How a tensor of ours is stored elsewhere."""

    names: tuple[str, ...]
    """Several: ours is theirs, one below the other."""
    parts: tuple[int, ...] = (1,)
    """The shares of ours that they hold."""
    form: Literal["same", "turned", "led", "led twice", "bare"] = "same"
    """turned: transposed; led: one, or two, more dimensions of size 1 in front; bare: a number, not a list of one."""

    def from_ours(self, tensor: Tensor) -> list[Tensor]:
        """What their tensors would be."""
        match self.form:
            case "turned":
                tensor = tensor.T
            case "led":
                tensor = tensor[None]
            case "led twice":
                tensor = tensor[None, None]
            case "bare":
                tensor = tensor[0]
        if len(self.names) == 1:
            return [tensor]
        unit = len(tensor) // sum(self.parts)
        return list(tensor.split([unit * part for part in self.parts]))

    def to_ours(self, tensors: list[Tensor], shape: Shape) -> Tensor:
        """Ours, from theirs."""
        whole = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
        return (whole.T if self.form == "turned" else whole).reshape(shape).contiguous()


Table = Mapping[str, str | Theirs]


def _blocks(ours: str, theirs: str, names: Table) -> dict[str, str | Theirs]:
    """A table for the blocks of one tower."""
    return {f"{ours}.blocks.{{n}}.{name}": _within(f"{theirs}.{{n}}.", value) for name, value in names.items()}


def _within(prefix: str, value: str | Theirs) -> str | Theirs:
    if isinstance(value, str):
        return prefix + value
    return Theirs(tuple(prefix + name for name in value.names), value.parts, value.form)


def _stacked(*names: str, parts: tuple[int, ...] = (1, 1, 1)) -> Theirs:
    return Theirs(names, parts)


def _one(name: str, form: Literal["turned", "led", "led twice", "bare"]) -> Theirs:
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
_OPEN_BLOCK: Table = {
    "norm1": "ln_1",
    "attn.qkv": "attn.in_proj_{s}",
    "attn.proj": "attn.out_proj",
    "norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OPEN_CLIP: Table = {
    "image.patch_embed": "visual.conv1",
    "image.class_embed": "visual.class_embedding",
    "image.position_embed": "visual.positional_embedding",
    "image.pre_norm": "visual.ln_pre",
    "image.norm": "visual.ln_post",
    "image_projection": _one("visual.proj", "turned"),
    "text.token_embed": "token_embedding",
    "text.position_embed": "positional_embedding",
    "text.norm": "ln_final",
    "text_projection": _one("text_projection", "turned"),
    "temperature.logit_scale": _one("logit_scale", "bare"),
    **_blocks("image", "visual.transformer.resblocks", _OPEN_BLOCK),
    **_blocks("text", "transformer.resblocks", _OPEN_BLOCK),
}
_TIMM_BLOCK: Table = {name: name for name in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")}
_OPEN_SIGLIP: Table = {
    "image.patch_embed": "visual.trunk.patch_embed.proj",
    "image.position_embed": _one("visual.trunk.pos_embed", "led"),
    "image.norm": "visual.trunk.norm",
    "image.last.probe": _one("visual.trunk.attn_pool.latent", "led twice"),
    "image.last.attn.qkv": _stacked("visual.trunk.attn_pool.q", "visual.trunk.attn_pool.kv", parts=(1, 2)),
    "image.last.attn.proj": "visual.trunk.attn_pool.proj",
    "image.last.norm": "visual.trunk.attn_pool.norm",
    "image.last.mlp.fc1": "visual.trunk.attn_pool.mlp.fc1",
    "image.last.mlp.fc2": "visual.trunk.attn_pool.mlp.fc2",
    "text.token_embed": "text.token_embedding",
    "text.position_embed": "text.positional_embedding",
    "text.norm": "text.ln_final",
    "text_projection": "text.text_projection",
    "temperature.logit_scale": _one("logit_scale", "bare"),
    "temperature.logit_bias": _one("logit_bias", "bare"),
    **_blocks("image", "visual.trunk.blocks", _TIMM_BLOCK),
    **_blocks("text", "text.transformer.resblocks", _OPEN_BLOCK),
}
BUFFERS = ("position_ids",)
"""Ends of keys in old files that hold no weights."""


def table_of(shape: TowersShape, layout: Layout) -> Table:
    """The table for towers of this shape. UserError if the layout has none for them."""
    image, text = shape.image, shape.text
    families = image.family, text.family if text else ""
    tables: dict[tuple[str, str, str], Table] = {
        ("transformers", "clip", "clip"): _HF_CLIP,
        ("transformers", "siglip", "siglip"): _HF_SIGLIP,
        ("transformers", "dinov2", ""): _HF_DINOV2_SWIGLU if image.activation == "swiglu" else _HF_DINOV2,
        ("open_clip", "clip", "clip"): _OPEN_CLIP,
        ("open_clip", "siglip", "siglip"): _OPEN_SIGLIP,
    }
    found = tables.get((layout, *families))
    if found is None:
        both = f"an image tower of {families[0]}" + (
            f" with a text tower of {families[1]}" if families[1] else " alone"
        )
        raise UserError(f"{both}: {layout} has no such model")
    return found


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
        bare = plain in table or theirs.form == "turned"
        names = tuple(_filled(name, numbers, "" if bare else suffix) for name in theirs.names)
        found[key] = Theirs(names, theirs.parts, theirs.form)
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

"""open_clip's open_clip_config.json of CLIP and SigLIP towers, as their shapes, and back."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from manifests.errors import UserError
from train.models.vit.shapes import MEANS, Activation, ImageShape, TextShape, TowersShape

TIMM_SIZES: dict[str, tuple[int, int, int, int]] = {
    "base": (768, 12, 12, 3072),
    "large": (1024, 24, 16, 4096),
    "so400m": (1152, 27, 16, 4304),
    "giantopt": (1536, 40, 16, 6144),
}
"""Width, blocks, heads and MLP of timm's SigLIP towers, which open_clip names instead of describing them."""
TIMM_TANH = re.compile(r"vit_(base_patch32|large_patch16_siglip_512|so400m_patch16|giantopt)")
"""Those that compute with the tanh form of GELU."""
OPEN_KEYS = {
    "model_cfg": {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "custom_text", "init_logit_bias"},
    "vision_cfg": {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "timm_model_name"}
    | {"timm_model_pretrained", "timm_pool", "timm_proj"},
    "text_cfg": {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "hf_tokenizer_name"}
    | {"tokenizer_kwargs", "no_causal_mask", "proj_bias", "pool_type", "norm_kwargs", "act_kwargs"},
}
"""Keys of open_clip_config.json that are understood."""


def open_clip_shape(document: Mapping[str, Any]) -> TowersShape:
    """The shape that an open_clip_config.json describes. UserError for keys that are not understood."""
    model, colours = document["model_cfg"], document.get("preprocess_cfg", {})
    for name, keys in OPEN_KEYS.items():
        section = model if name == "model_cfg" else model[name]
        if foreign := sorted(section.keys() - keys):
            raise UserError(f"{name}: {', '.join(foreign)}: only plain CLIP and SigLIP towers are read")
    image, text = model["vision_cfg"], model["text_cfg"]
    siglip = "timm_model_name" in image
    if siglip != bool(text.get("no_causal_mask")) or text.get("pool_type", "argmax") != (
        "last" if siglip else "argmax"
    ):
        raise UserError(
            "text_cfg: only CLIP's text tower (causal, argmax) and SigLIP's (no_causal_mask, last) are read"
        )
    if not siglip and model.get("custom_text"):
        raise UserError("custom_text: is read for SigLIP alone")
    family: Literal["siglip", "clip"] = "siglip" if siglip else "clip"
    mean, std = (tuple(colours.get(key, MEANS[family][at])) for at, key in enumerate(("mean", "std")))
    activation: Activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    of_image = _timm(image) if siglip else _plain(image, activation)
    return TowersShape(
        image=ImageShape(**of_image, family=family, mean=mean, std=std),
        text=_text(text, family, activation),
        width=model["embed_dim"],
        vocab_size=text.get("vocab_size", 49408),
    )


def _plain(image: Mapping[str, Any], activation: Activation) -> dict[str, Any]:
    width = image.get("width", 768)
    return {
        "size": image.get("image_size", 224),
        "patch": image.get("patch_size", 16),
        "width": width,
        "layers": image.get("layers", 12),
        "heads": width // image.get("head_width", 64),
        "mlp": int(width * image.get("mlp_ratio", 4.0)),
        "activation": activation,
        "eps": 1e-5,
    }


def _timm(image: Mapping[str, Any]) -> dict[str, Any]:
    name = image["timm_model_name"]
    found = re.fullmatch(r"vit_([a-z0-9]+)_patch(\d+)_siglip_(\d+)", name)
    if found is None or found[1] not in TIMM_SIZES or image.get("timm_pool", "map") != "map":
        raise UserError(
            f"timm_model_name {name!r} is not a SigLIP tower (vit_{{{','.join(TIMM_SIZES)}}}_patchN_siglip_M)"
        )
    width, layers, heads, mlp = TIMM_SIZES[found[1]]
    return {
        "size": int(found[3]),
        "patch": int(found[2]),
        "width": width,
        "layers": layers,
        "heads": heads,
        "mlp": mlp,
        "activation": _timm_activation(name),
        "eps": 1e-6,
    }


def _timm_activation(name: str) -> Activation:
    return "gelu_tanh" if TIMM_TANH.match(name) else "gelu"


def _text(text: Mapping[str, Any], family: Literal["siglip", "clip"], activation: Activation) -> TextShape:
    if (text.get("act_kwargs") or {}).get("approximate") == "tanh":
        activation = "gelu_tanh"
    width = text.get("width", 512)
    return TextShape(
        family=family,
        positions=text.get("context_length", 77),
        width=width,
        layers=text.get("layers", 12),
        heads=text.get("heads", 8),
        mlp=int(width * text.get("mlp_ratio", 4.0)),
        activation=activation,
        eps=(text.get("norm_kwargs") or {}).get("eps", 1e-5),
        end=-1,
    )


def open_clip_config(shape: TowersShape) -> dict[str, Any]:
    """The open_clip_config.json of CLIP or SigLIP towers. UserError for what open_clip has no name for."""
    image, text = shape.image, shape.text
    assert text is not None
    words: dict[str, Any] = {
        "context_length": text.positions,
        "vocab_size": shape.vocab_size,
        "width": text.width,
        "heads": text.heads,
        "layers": text.layers,
        "mlp_ratio": text.mlp / text.width,
    }
    model: dict[str, Any] = {"embed_dim": shape.width}
    if image.family == "siglip":
        model |= {"init_logit_bias": -10, "custom_text": True, "vision_cfg": _timm_of(image)}
        words |= {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": text.eps}}
        words |= {"act_kwargs": {"approximate": "tanh"}} if text.activation == "gelu_tanh" else {}
    else:
        model |= {"quick_gelu": image.activation == "quick_gelu", "vision_cfg": _plain_of(image)}
        if text.end not in (-1, shape.vocab_size - 1):
            raise UserError("a text tower whose end token is not the one with the highest number: open_clip has none")
    return {"model_cfg": {**model, "text_cfg": words}, "preprocess_cfg": {"mean": image.mean, "std": image.std}}


def _plain_of(image: ImageShape) -> dict[str, Any]:
    return {
        "image_size": image.size,
        "layers": image.layers,
        "width": image.width,
        "head_width": image.width // image.heads,
        "mlp_ratio": image.mlp / image.width,
        "patch_size": image.patch,
    }


def _timm_of(image: ImageShape) -> dict[str, Any]:
    sizes = image.width, image.layers, image.heads, image.mlp
    word = next((word for word, known in TIMM_SIZES.items() if known == sizes), "")
    name = f"vit_{word}_patch{image.patch}_siglip_{image.size}"
    if not word or _timm_activation(name) != image.activation:
        raise UserError(
            f"an image tower of width {image.width} with {image.activation}: timm, open_clip's source of SigLIP, "
            f"has none" + (f" ({name} computes with {_timm_activation(name)})" if word else "")
        )
    return {
        "image_size": image.size,
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    }

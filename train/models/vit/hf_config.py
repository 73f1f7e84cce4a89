"""The config.json of transformers' CLIPModel, SiglipModel (SigLIP 2's, too) and Dinov2Model: to shapes, and back."""

from collections.abc import Mapping
from typing import Any

from manifests.errors import UserError
from train.models.vit.shapes import MEANS, Activation, ImageShape, TextShape, TowersShape

ACTIVATIONS: dict[str, Activation] = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}
"""What transformers calls them."""

CLIP_IMAGE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 224}
CLIP_TEXT = {"hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8, "max_position_embeddings": 77}
SIGLIP = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
SAID_BY_DEFAULT: dict[str, dict[str, Any]] = {
    "clip image": {**CLIP_IMAGE, "intermediate_size": 3072, "patch_size": 32},
    "clip text": {**CLIP_TEXT, "intermediate_size": 2048, "vocab_size": 49408, "eos_token_id": 49407},
    "siglip image": {**SIGLIP, "image_size": 224, "patch_size": 16},
    "siglip text": {**SIGLIP, "max_position_embeddings": 64, "vocab_size": 32000},
    "dinov2": {**CLIP_IMAGE, "patch_size": 14, "mlp_ratio": 4},
}
"""What transformers takes for keys that a config.json leaves out."""


def transformers_shape(document: Mapping[str, Any], colours: Mapping[str, Any]) -> TowersShape:
    """The shape that a config.json describes, with the mean and deviation in `colours`. UserError for another model."""
    kind = document.get("model_type")
    if kind == "dinov2":
        return TowersShape(image=_hf_image({**SAID_BY_DEFAULT["dinov2"], **document}, "dinov2", colours))
    if kind not in ("clip", "siglip"):
        raise UserError(f"model_type {kind!r} is not one of clip, siglip (SigLIP 2's, too), dinov2")
    image = {**SAID_BY_DEFAULT[f"{kind} image"], **document.get("vision_config", {})}
    text = {**SAID_BY_DEFAULT[f"{kind} text"], **document.get("text_config", {})}
    if kind == "siglip" and not image.get("vision_use_head", True):
        raise UserError("vision_use_head: false: a SigLIP without its last block has no embedding")
    width = document.get("projection_dim", 512) if kind == "clip" else text.get("projection_size", text["hidden_size"])
    return TowersShape(
        image=_hf_image(image, kind, colours), text=_hf_text(text, kind), width=width, vocab_size=text["vocab_size"]
    )


def _hf_common(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    default = {"clip": "quick_gelu", "siglip": "gelu_pytorch_tanh", "dinov2": "gelu"}[kind]
    activation = config.get("hidden_act", default)
    if activation not in ACTIVATIONS:
        raise UserError(f"hidden_act {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    return {
        "family": kind,
        "width": config["hidden_size"],
        "layers": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "activation": ACTIVATIONS[activation],
        "eps": config.get("layer_norm_eps", 1e-5 if kind == "clip" else 1e-6),
    }


def _hf_image(config: Mapping[str, Any], kind: str, colours: Mapping[str, Any]) -> ImageShape:
    common = _hf_common(config, kind)
    mean, std = MEANS[kind]
    inner = config["intermediate_size"] if kind != "dinov2" else int(config["hidden_size"] * config["mlp_ratio"])
    if kind == "dinov2" and config.get("use_swiglu_ffn"):
        common["activation"] = "swiglu"
        inner = swiglu_inner(inner)
    sizes = {"size": config["image_size"], "patch": config["patch_size"], "mlp": inner}
    return ImageShape(**{**common, **sizes, "mean": mean, "std": std, **colours})


def swiglu_inner(inner: int) -> int:
    """Size inside DINOv2's gated MLP, for that of a plain one: two thirds, up to a multiple of 8."""
    return (int(inner * 2 / 3) + 7) // 8 * 8


def _hf_text(config: Mapping[str, Any], kind: str) -> TextShape:
    end = config.get("eos_token_id", -1) if kind == "clip" else -1
    # Configurations of the first years say 2, which was never the end token: transformers takes the highest there.
    sizes = {"positions": config["max_position_embeddings"], "mlp": config["intermediate_size"]}
    return TextShape(**_hf_common(config, kind), **sizes, end=-1 if end in (2, None) else end)


def transformers_config(shape: TowersShape) -> dict[str, Any]:
    """The config.json of CLIPModel, SiglipModel or Dinov2Model."""
    image, text = shape.image, shape.text
    sizes = {**_hf_sizes(image), "image_size": image.size, "patch_size": image.patch}
    if text is None:
        swiglu = image.activation == "swiglu"
        facts = {"mlp_ratio": 4 if swiglu else image.mlp // image.width, "use_swiglu_ffn": swiglu}
        hidden = {} if not swiglu else {"hidden_act": "gelu"}
        return {"architectures": ["Dinov2Model"], "model_type": "dinov2", **sizes, **facts, **hidden}
    words = {**_hf_sizes(text), "max_position_embeddings": text.positions, "vocab_size": shape.vocab_size}
    sizes["intermediate_size"], words["intermediate_size"] = image.mlp, text.mlp
    if image.family == "siglip":
        towers = {"vision_config": sizes, "text_config": {**words, "projection_size": shape.width}}
        return {"architectures": ["SiglipModel"], "model_type": "siglip", **towers}
    # 2 makes transformers take the token with the highest number.
    towers = {"vision_config": sizes, "text_config": {**words, "eos_token_id": 2 if text.end < 0 else text.end}}
    return {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": shape.width, **towers}


def _hf_sizes(shape: ImageShape | TextShape) -> dict[str, Any]:
    names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    return {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "hidden_act": names.get(shape.activation, "gelu"),
        "layer_norm_eps": shape.eps,
    }


def preprocessor_config(image: ImageShape) -> dict[str, Any]:
    """The preprocessor_config.json beside it."""
    kind = {"clip": "CLIPImageProcessor", "siglip": "SiglipImageProcessor", "dinov2": "BitImageProcessor"}
    size = {"height": image.size, "width": image.size}
    sizes = {"size": size} if image.family == "siglip" else {"size": {"shortest_edge": image.size}, "crop_size": size}
    return {
        "image_processor_type": kind[image.family],
        **sizes,
        "image_mean": image.mean,
        "image_std": image.std,
        "rescale_factor": 1 / 255,
    }

"""Tiny towers with random weights, made by transformers and open_clip themselves, in folders as they save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from train.models.vit import open_clip_config

VOCAB, LENGTH, SIZE = 520, 10, 16
MERGES = [("r", "e"), ("re", "d</w>"), ("b", "l"), ("bl", "u"), ("blu", "e</w>"), ("a", "r")]
"""What CLIP's tiny vocabulary has besides single bytes."""
TINY = (32, 2, 2, 48)
"""Width, blocks, heads and MLP of the tower that `named_tiny` adds to timm's SigLIP towers."""


def noisy(model: Any) -> Any:
    """The model in evaluation mode, every weight random: norms, biases and scales, too."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def pixels(size: int = SIZE, n: int = 3) -> torch.Tensor:
    """Raw pictures, 0..255."""
    return torch.randint(0, 256, (n, 3, size, size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def token_ids(n: int = 3, end: int = VOCAB - 1) -> torch.Tensor:
    """Texts of different lengths, with their end token and padding."""
    ids = torch.randint(3, VOCAB - 1, (n, LENGTH), generator=torch.Generator().manual_seed(2))
    for row, length in enumerate((LENGTH, 6, 3)):
        ids[row, length - 1 :] = end
    return ids


def towers(width: int = 32, act: str = "quick_gelu") -> dict[str, Any]:
    """Sizes of one tower in transformers' words."""
    return {
        "hidden_size": width,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": act,
    }


def hf_clip(folder: Path, act: str = "quick_gelu", end: int = VOCAB - 1) -> Any:
    """transformers' CLIPModel."""
    import transformers

    config = transformers.CLIPConfig(
        text_config={
            **towers(24, act),
            "vocab_size": VOCAB,
            "max_position_embeddings": LENGTH,
            "bos_token_id": 0,
            "eos_token_id": end,
            "pad_token_id": 1,
        },
        vision_config={**towers(32, act), "image_size": SIZE, "patch_size": 4},
        projection_dim=20,
    )
    return _saved(noisy(transformers.CLIPModel(config)), folder)


def hf_siglip(folder: Path) -> Any:
    """transformers' SiglipModel, which is that of SigLIP 2's checkpoints of one resolution, too."""
    import transformers

    words = {"vocab_size": VOCAB, "max_position_embeddings": LENGTH, "bos_token_id": 0, "eos_token_id": 1}
    config = transformers.SiglipConfig(
        text_config={**towers(24, "gelu_pytorch_tanh"), **words, "pad_token_id": 1, "projection_size": 32},
        vision_config={**towers(32, "gelu_pytorch_tanh"), "image_size": SIZE, "patch_size": 4},
    )
    return _saved(noisy(transformers.SiglipModel(config)), folder)


def hf_dinov2(folder: Path, *, gated: bool = False) -> Any:
    """transformers' Dinov2Model."""
    import transformers

    sizes = {**towers(32, "gelu"), "image_size": SIZE, "patch_size": 4, "use_swiglu_ffn": gated}
    del sizes["intermediate_size"]
    return _saved(noisy(transformers.Dinov2Model(transformers.Dinov2Config(**sizes))), folder)


def _saved(model: Any, folder: Path) -> Any:
    model.save_pretrained(folder)
    return model


WORDS: dict[str, Any] = {"context_length": LENGTH, "vocab_size": VOCAB, "width": 24, "heads": 2, "layers": 2}


def open_clip_clip(folder: Path, *, quick_gelu: bool = False) -> Any:
    """open_clip's CLIP."""
    picture = {"image_size": SIZE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 4, "mlp_ratio": 1.5}
    config = {"embed_dim": 20, "quick_gelu": quick_gelu, "vision_cfg": picture, "text_cfg": WORDS}
    return _made_by_open_clip(config, folder)


def open_clip_siglip(folder: Path) -> Any:
    """open_clip's SigLIP, whose image tower is timm's; needs `named_tiny`."""
    words = {
        **WORDS,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    }
    picture = {
        "image_size": SIZE,
        "timm_model_name": f"vit_tiny_patch4_siglip_{SIZE}",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    }
    config = {
        "embed_dim": 32,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": picture,
        "text_cfg": words,
    }
    return _made_by_open_clip(config, folder)


def _made_by_open_clip(config: dict[str, Any], folder: Path) -> Any:
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    model = noisy(open_clip.create_model(f"local-dir:{folder}"))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return model


def named_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives timm a tiny SigLIP tower, and hdvila its sizes."""
    from timm.models import is_model, register_model
    from timm.models.vision_transformer import VisionTransformer

    width, depth, heads, mlp = TINY

    def vit_tiny_patch4_siglip_16(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
        given = {name: kwargs[name] for name in ("num_classes", "global_pool") if name in kwargs}
        sizes = {"img_size": SIZE, "patch_size": 4, "embed_dim": width, "depth": depth, "num_heads": heads}
        return VisionTransformer(**sizes, mlp_ratio=mlp / width, class_token=False, **given)

    vit_tiny_patch4_siglip_16.__module__ = "timm.models.vision_transformer"
    if not is_model("vit_tiny_patch4_siglip_16"):
        register_model(vit_tiny_patch4_siglip_16)
    monkeypatch.setitem(open_clip_config.TIMM_SIZES, "tiny", TINY)


# ---- tokenizers ------------------------------------------------------------------------------------------------------


def clip_tokenizer(folder: Path) -> None:
    """A tiny CLIP tokenizer, saved by transformers."""
    import transformers
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in MERGES)]
    vocabulary = {word: at for at, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    transformers.CLIPTokenizer(vocab=vocabulary, merges=MERGES).save_pretrained(folder)


def open_clip_tokenizer(folder: Path) -> Any:
    """open_clip's own tokenizer, and its vocabulary as a tokenizer.json."""
    import transformers
    from open_clip.tokenizer import SimpleTokenizer

    theirs = SimpleTokenizer(context_length=LENGTH)
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(word, word): at for word, at in theirs.encoder.items()}
    transformers.CLIPTokenizer(vocab=vocabulary, merges=list(theirs.bpe_ranks)).save_pretrained(folder)
    return theirs


def siglip2_tokenizer(folder: Path) -> None:
    """A tiny SigLIP 2 tokenizer (Gemma's kind, small letters), saved by transformers."""
    import transformers

    merges = [("r", "e"), ("re", "d"), ("▁", "a")]
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = [*special, "▁", *"abcdefghijklmnopqrstuvwxyz,.!'", *("".join(pair) for pair in merges)]
    vocabulary = {word: at for at, word in enumerate(words)}
    transformers.Siglip2Tokenizer(vocab=vocabulary, merges=merges, add_eos_token=True).save_pretrained(folder)

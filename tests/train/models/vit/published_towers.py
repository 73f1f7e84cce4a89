"""Tiny towers with random weights, made by transformers itself, in folders as it saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

VOCAB, LENGTH, SIZE = 520, 10, 16
MERGES = [("r", "e"), ("re", "d</w>"), ("b", "l"), ("bl", "u"), ("blu", "e</w>"), ("a", "r")]
"""What CLIP's tiny vocabulary has besides single bytes."""


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


# ---- tokenizers ------------------------------------------------------------------------------------------------------


def clip_tokenizer(folder: Path) -> None:
    """A tiny CLIP tokenizer, saved by transformers."""
    import transformers
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in MERGES)]
    vocabulary = {word: at for at, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    transformers.CLIPTokenizer(vocab=vocabulary, merges=MERGES).save_pretrained(folder)


def siglip2_tokenizer(folder: Path) -> None:
    """A tiny SigLIP 2 tokenizer (Gemma's kind, small letters), saved by transformers."""
    import transformers

    merges = [("r", "e"), ("re", "d"), ("▁", "a")]
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = [*special, "▁", *"abcdefghijklmnopqrstuvwxyz,.!'", *("".join(pair) for pair in merges)]
    vocabulary = {word: at for at, word in enumerate(words)}
    transformers.Siglip2Tokenizer(vocab=vocabulary, merges=merges, add_eos_token=True).save_pretrained(folder)

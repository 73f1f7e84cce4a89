"""SOHO's reference numbers in HDVILA_GOLDEN (default: ../shared/golden beside the repository) and the rule behind them.

Weights and inputs come from seeds and keys; the rule is restated here from the README beside the numbers.
"""

import json
import os
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from tests.conftest import REPO, need
from train.models.soho.batch import ImageBatch, MvmDraw

SEED = 0
TOKEN_TOLERANCE = 2e-5
LOSS_TOLERANCE = 1e-5
COSINE_TOLERANCE = 1e-6
GRADIENT_TOLERANCE = 1e-3
WORDS = "language.bert.embeddings.word_embeddings.weight"
Array = npt.NDArray[np.float64]


@cache
def soho_golden(name: str) -> dict[str, Any]:
    """The numbers of a file (`small`, `full`, `vqa_small`); skips the test where they aren't at hand."""
    folder = Path(os.environ.get("HDVILA_GOLDEN", REPO.parent / "shared" / "golden"))
    file = folder / f"soho_{name}_seed{SEED}.json"
    need(file.is_file(), f"reference numbers at {file} (HDVILA_GOLDEN)", "golden")
    return dict(json.loads(file.read_text()))


def soho_weights(keys: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A state dict by the rule, each entry drawn from its own key."""
    weights = {key: _value(key, shape) for key, shape in keys.items() if key != "mask_l_fc.weight"}
    if "mask_l_fc.weight" in keys:
        weights["mask_l_fc.weight"] = weights[WORDS]
    return weights


def check_weights(weights: Mapping[str, Tensor], wanted: Mapping[str, dict[str, float]]) -> None:
    """Sum and norm of the tensors that the reference names."""
    for key, check in wanted.items():
        assert float(weights[key].double().sum()) == pytest.approx(check["sum"], rel=1e-6, abs=1e-6), key
        assert float(weights[key].double().norm()) == pytest.approx(check["l2"], rel=1e-6), key


def _value(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("vq.embed_avg"):
        base = key.removesuffix("embed_avg")
        value = _value64(base + "embed", shape) * _value64(base + "cluster_size", shape[:1])[:, None]
    else:
        value = _value64(key, shape)
    return torch.from_numpy(value.astype(np.float32))


def _value64(key: str, shape: tuple[int, ...]) -> Array:
    z: Array = np.random.default_rng(zlib.crc32(key.encode()) + SEED).standard_normal(shape)
    leaf = key.rsplit(".", 1)[-1]
    if key.endswith("vq.embed"):
        return z
    if key.endswith("vq.cluster_size"):
        return np.asarray(0.5 + np.abs(z))
    if key.endswith("vq.cluster_sum"):
        return np.asarray(np.floor(10 * np.abs(z)))
    if leaf == "running_var":
        return np.asarray(1 + 0.1 * np.abs(z))
    if leaf in ("running_mean", "bias") or key.endswith("embeddings.weight"):
        return np.asarray(0.02 * z)
    return np.asarray(1 + 0.02 * z if len(shape) == 1 else z / np.sqrt(np.prod(shape[1:])))


def soho_batch(numbers: Mapping[str, Any]) -> ImageBatch:
    """The case's pictures (blocks of colour with fine noise, raw 0..255) and sentences."""
    facts, text = numbers["images"], numbers["text"]
    pictures = [_picture(tag, size) for tag, size in zip(facts["tags"], facts["valid_hw"], strict=True)]
    for picture, total in zip(pictures, facts.get("sums", []), strict=False):
        assert float(picture.double().sum()) == total
    labels = {name: torch.tensor(text[name]) for name in ("mlm_labels", "itm_labels") if name in text}
    return ImageBatch(
        pictures,
        facts["valid_hw"],
        facts["padded_hw"],
        torch.tensor(text.get("masked_input_ids", text["input_ids"])),
        torch.tensor(text["attention_mask"]),
        **labels,
    )


def _picture(tag: str, size: list[int]) -> Tensor:
    h, w = size
    generator = np.random.default_rng(zlib.crc32(tag.encode()) + SEED)
    coarse = generator.integers(0, 256, size=(3, -(-h // 32), -(-w // 32)))
    coarse = coarse.repeat(32, -2).repeat(32, -1)[..., :h, :w]
    noisy = coarse + generator.integers(-20, 21, size=(3, h, w))
    return torch.from_numpy(np.clip(noisy, 0, 255).astype(np.float32))


def soho_draw(numbers: Mapping[str, Any]) -> MvmDraw:
    """The place and rows that the reference masked."""
    return MvmDraw(numbers["draw"]["mvm_location"], torch.tensor(numbers["draw"]["mvm_chosen"]))


def assert_rows_agree(found: Tensor, wanted: list[dict[str, Any]], place: str, name: str) -> None:
    """First 32 values and, where it is recorded, norm of the recorded rows of found [R, n, D]."""
    for reference in wanted:
        row = found[reference["row"], reference[place]]
        worst = float((row[:32] - torch.tensor(reference["first32"])).abs().max())
        assert worst <= TOKEN_TOLERANCE, f"{name} is off by {worst:.1e}"
        if "norm" in reference:
            assert float(row.norm()) == pytest.approx(reference["norm"], abs=1e-4), name

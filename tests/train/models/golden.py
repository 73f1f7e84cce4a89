"""The reference numbers in HDVILA_GOLDEN (default: ../shared/golden beside the repository) and the rule that made them.

Weights and inputs come from seeds and the state dict's keys, so that no checkpoint is needed; the rule is restated here
from the README that lies beside the numbers.
"""

import json
import os
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import train
from tests.conftest import REPO, need
from train.models.hd_vila import HDVila
from train.models.official import BIAS, BIAS_ALIAS, Stage

SEED = 0
EMBEDDING_TOLERANCE = 2e-6
LOSS_TOLERANCE = 1e-5
INTERMEDIATE_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3


@cache
def golden(stage: Stage) -> dict[str, Any]:
    """The numbers of a stage; skips the test where they aren't at hand."""
    folder = Path(os.environ.get("HDVILA_GOLDEN", REPO.parent / "shared" / "golden"))
    file = folder / f"stage{stage}_seed{SEED}.json"
    need(file.is_file(), f"reference numbers at {file} (HDVILA_GOLDEN)", "golden")
    return dict(json.loads(file.read_text()))


def golden_model(stage: Stage, drawn: dict[str, Tensor]) -> HDVila:
    """The full-size model of a stage with the rule's weights, which `golden_weights` gives."""
    weights = {key: drawn[key] for key in train.official_keys(stage)}
    for key, check in golden(stage)["weight_checks"].items():
        assert float(weights[key].double().sum()) == pytest.approx(check["sum"], rel=1e-6, abs=1e-6), key
        assert float(weights[key].double().norm()) == pytest.approx(check["l2"], rel=1e-6), key
    return train.load_official(weights)


def golden_inputs(stage: Stage, case: str) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
    """(img_middle, img_other, input_ids, attention_mask); stage 2 is fed the masked ids."""
    numbers = golden(stage)
    recorded = numbers["cases"][case]["fp32"]
    middle = golden_image("img_middle", recorded["img_middle_shape"])
    other = golden_image("img_other", recorded["img_other_shape"])
    for tensor, total in ((middle, recorded["img_middle_sum"]), (other, recorded["img_other_sum"])):
        assert tensor is None or float(tensor.double().sum()) == total
    text = numbers["text"]
    ids = text["masked_input_ids" if stage == 2 else "input_ids"]
    return middle, other, torch.tensor(ids), torch.tensor(text["attention_mask"])


def golden_weights() -> dict[str, Tensor]:
    """Stage 2's whole official state dict, each entry drawn from its own key."""
    weights = {key: _value(key, shape) for key, shape in train.official_keys(2).items() if key != BIAS_ALIAS}
    return {**weights, BIAS_ALIAS: weights[BIAS]}


def _value(key: str, shape: tuple[int, ...]) -> Tensor:
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.tensor(0)
    z = np.random.default_rng(zlib.crc32(key.encode()) + SEED).standard_normal(shape)
    if leaf == "running_var":
        z = 1 + 0.1 * np.abs(z)
    elif leaf in ("running_mean", "pos_embed", "time_embed", "bias") or key.endswith("embeddings.weight"):
        z *= 0.02
    elif len(shape) == 1:
        z = 1 + 0.02 * z
    else:
        z /= np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(z.astype(np.float32))


def golden_image(tag: str, shape: list[int] | None) -> Tensor | None:
    """`img_middle` or `img_other`: blocks of colour with fine noise, raw 0..255; None where the case has none."""
    if shape is None:
        return None
    block = 32 if tag == "img_middle" else 8
    *lead, h, w = shape
    generator = np.random.default_rng(zlib.crc32(tag.encode()) + SEED)
    coarse = generator.integers(0, 256, size=(*lead, h // block, w // block))
    coarse = coarse.repeat(block, -2).repeat(block, -1)
    noisy = coarse + generator.integers(-20, 21, size=shape)
    return torch.from_numpy(np.clip(noisy, 0, 255).astype(np.float32))


def assert_embeddings_agree(found: Tensor, wanted: list[dict[str, Any]], name: str) -> None:
    """First 32 values, norm and sum of each row."""
    for row, reference in zip(found, wanted, strict=True):
        first = torch.tensor(reference["first32"])
        worst = float((row[:32] - first).abs().max())
        assert worst <= EMBEDDING_TOLERANCE, f"{name} is off by {worst:.1e}"
        assert float(row.norm()) == pytest.approx(reference["norm"], abs=1e-5)
        assert float(row.double().sum()) == pytest.approx(reference["sum"], abs=1e-4)


def assert_statistics_agree(found: Tensor, wanted: dict[str, Any], name: str) -> None:
    """Shape, moments and the corner values of an intermediate tensor."""
    assert list(found.shape) == wanted["shape"], name
    flat = found.detach().double().flatten()
    margin = INTERMEDIATE_TOLERANCE * wanted["std"]
    pairs = {
        "mean": float(flat.mean()),
        "std": float(flat.std(correction=0)),
        "absmax": float(flat.abs().max()),
        "l2": float(flat.norm()) / len(flat) ** 0.5,
    }
    for what, value in pairs.items():
        reference = wanted[what] / len(flat) ** 0.5 if what == "l2" else wanted[what]
        assert value == pytest.approx(reference, abs=margin), f"{what} of {name}"
    assert flat[:8].tolist() == pytest.approx(wanted["first8"], abs=margin), f"first values of {name}"
    assert flat[-4:].tolist() == pytest.approx(wanted["last4"], abs=margin), f"last values of {name}"


OWN_NAMES = {
    "cnn.layer.0": "cnn.layer1.2",
    "cnn.layer.1": "cnn.layer2.3",
    "cnn.layer.2": "cnn.layer3.5",
    "cnn.layer.3": "cnn.layer4.2",
    "cnn_low.layer3": "cnn_low.layer3.5",
    "grid_encoder": "grid_encoder",
    "grid_encoder_low": "grid_encoder_low",
    "grid_encoder_combine": "grid_encoder_combine",
    **{f"timesformer.blocks.{i}": f"timesformer.blocks.{i}" for i in range(4)},
    "text.embeddings": "transformer.bert.embeddings",
    **{f"bert.layer.{i}": f"transformer.bert.encoder.layer.{i}" for i in (0, 11, 12, 23)},
    "pooler1": "transformer.bert.pooler1",
    "visual_embeddings": "transformer.bert.visual_embeddings",
    "pooler2": "transformer.bert.pooler2",
    "v_proj": "transformer.v_proj",
    "t_proj": "transformer.t_proj",
}
"""Recorded tensor -> the module of ours whose output it is."""


class Recorder:
    """Keeps the outputs of the modules in OWN_NAMES, in the reference's layout, during the passes inside `with`."""

    def __init__(self, model: HDVila) -> None:
        self.outputs: dict[str, list[Tensor]] = {}
        self._model = model

    def __enter__(self) -> "Recorder":
        known = dict(self._model.named_modules())
        self._handles = [
            known[own].register_forward_hook(self._hook(name)) for name, own in OWN_NAMES.items() if own in known
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def keep(module: nn.Module, arguments: Any, output: Tensor) -> None:
            if name.startswith("timesformer"):
                output = _whole_block(module, arguments, output)
            if name == "pooler2":
                output = output.flatten(0, 1)
            self.outputs.setdefault(name, []).append(output.clone())

        return keep

    def assert_agree(self, wanted: dict[str, Any]) -> None:
        """Every recorded tensor that a module of ours gives has the reference's statistics."""
        compared = 0
        for full_name, statistics in wanted.items():
            name, _, call = full_name.partition("#")
            if name not in self.outputs or (name == "pooler1" and not call):  # the unused pooling of [CLS]
                continue
            outputs = self.outputs[name]
            assert_statistics_agree(outputs[1 if call and len(outputs) > 1 else 0], statistics, full_name)
            compared += 1
        assert compared >= len(self.outputs)


def _whole_block(block: nn.Module, arguments: tuple[Tensor, int | None], output: Tensor) -> Tensor:
    """The reference records all frames, time fastest; ours computes one in the last block, which must be the same."""
    x, only = arguments
    whole = block.forward(x)
    if only is not None:
        assert torch.allclose(whole[:, only : only + 1], output, atol=1e-5)
    return whole.transpose(1, 2).flatten(1, 2)


def assert_gradients_agree(model: torch.nn.Module, wanted: dict[str, Any]) -> None:
    """Norms by top-level module, single tensors, and how many parameters got none."""
    gradients = {name: p.grad.double() for name, p in model.named_parameters() if p.grad is not None}
    assert sum(p.grad is None for p in model.parameters()) == wanted["none_grad"]
    for group, l2 in wanted["group_l2"].items():
        total = sum(float(g.square().sum()) for name, g in gradients.items() if name.split(".")[0] == group)
        assert total**0.5 == pytest.approx(l2, rel=GRADIENT_TOLERANCE), group
    for name, sample in wanted["samples"].items():
        gradient = gradients[name]
        assert float(gradient.norm()) == pytest.approx(sample["l2"], rel=GRADIENT_TOLERANCE), name
        margin = GRADIENT_TOLERANCE * sample["l2"] / gradient.numel() ** 0.5 * 10
        assert gradient.flatten()[:4].tolist() == pytest.approx(sample["first4"], abs=margin), name

"""Towers from folders compute what transformers computes, and are read back by it bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from manifests.errors import UserError
from tests.train.models.vit import published_towers as made
from tests.train.models.vit.published_towers import SIZE, pixels, token_ids
from train.models.vit.folders import read_towers, write_towers
from train.models.vit.shapes import TowersShape
from train.models.vit.towers import Towers

PARITY = 1e-5


def ours(folder: Path) -> Towers:
    """The folder's towers in our code."""
    shape, weights = read_towers(folder)
    model = Towers(shape).eval()
    model.load_state_dict(weights, strict=False)
    return model


def normalised(model: Towers, raw: Tensor) -> Tensor:
    """Pictures as the other packages want them."""
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (model.shape.image.mean, model.shape.image.std))
    return (raw / 255 - mean) / std


def off(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max())


Make = Callable[[Path], Any]
HF: dict[str, Make] = {
    "clip": made.hf_clip,
    "clip, gelu": lambda folder: made.hf_clip(folder, "gelu"),
    "clip, first years": lambda folder: made.hf_clip(folder, end=2),
    "siglip": made.hf_siglip,
}


@torch.no_grad()
@pytest.mark.foreign
@pytest.mark.parametrize("name", HF)
def test_towers_of_transformers(tmp_path: Path, name: str) -> None:
    theirs = HF[name](tmp_path / "given")
    model = ours(tmp_path / "given")

    for size in (SIZE, 24):
        seen = theirs(
            input_ids=token_ids(),
            pixel_values=normalised(model, pixels(size)),
            interpolate_pos_encoding=True,
        )
        picture, text = model.embed_picture(pixels(size)), model.embed_text(token_ids())
        assert model.temperature is not None
        scale, bias = model.temperature()
        logits = scale * picture @ text.T + (bias if "siglip" in name else 0)
        assert off(picture, seen.image_embeds) < PARITY
        assert off(text, seen.text_embeds) < PARITY
        assert off(logits, seen.logits_per_image) < PARITY * float(scale)

    assert_read_back(model, theirs, tmp_path / "written")


@torch.no_grad()
@pytest.mark.foreign
@pytest.mark.parametrize("gated", [False, True])
def test_an_image_tower_of_dinov2(tmp_path: Path, gated: bool) -> None:
    theirs = made.hf_dinov2(tmp_path / "given", gated=gated)
    model = ours(tmp_path / "given")

    for size in (SIZE, 24):
        seen = theirs(pixel_values=normalised(model, pixels(size)))
        found = model.image(pixels(size))
        assert off(found, seen.last_hidden_state) < PARITY
        assert torch.equal(model.image.pool(found), found[:, 0])

    assert_read_back(model, theirs, tmp_path / "written")


def assert_read_back(model: Towers, theirs: Any, folder: Path) -> None:
    folder.mkdir()
    write_towers(model.shape, model.state_dict(), folder)
    again, told = type(theirs).from_pretrained(folder, output_loading_info=True)
    assert not any(told.values()), told
    assert_equal(again.state_dict(), theirs.state_dict())


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert not [key for key in wanted if not torch.equal(found[key], wanted[key])]


# ---- bad input -------------------------------------------------------------------------------------------------------


def test_one_message_names_missing_surplus_and_wrong_shaped_weights(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    made.hf_clip(folder)
    file, lost, changed = folder / "model.safetensors", "visual_projection.weight", "logit_scale"
    weights = load_file(file)
    del weights[lost]
    weights["visual.head.weight"] = torch.zeros(2)
    weights[changed] = torch.zeros(7)
    save_file(weights, file)

    with pytest.raises(UserError) as caught:
        read_towers(folder)

    said = str(caught.value)
    assert f"1 missing: {lost}" in said
    assert "1 unknown: visual.head.weight" in said
    assert f"1 of another shape: {changed} (7,) for" in said
    assert str(folder) in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "blip"}, "'blip' is not one of clip, siglip"),
        ({"text_config": None}, "cannot be read"),
        ({"vision_config": {"hidden_size": "wide"}}, "width: "),
        ({"vision_config": {"hidden_act": "relu"}}, "'relu' is not one of quick_gelu"),
    ],
)
def test_a_configuration_that_is_not_understood_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    document = {"model_type": "clip", "projection_dim": 8}
    (tmp_path / "config.json").write_text(json.dumps({**document, **change}))

    with pytest.raises(UserError, match=f"config.json: .*{said}"):
        read_towers(tmp_path)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no config\.json"):
        read_towers(tmp_path)


def test_towers_that_transformers_has_no_model_for(tmp_path: Path) -> None:
    made.hf_siglip(tmp_path / "given")
    model = ours(tmp_path / "given")
    alone = TowersShape(image=model.shape.image)

    with pytest.raises(UserError, match="an image tower of siglip alone: transformers has no such model"):
        write_towers(alone, model.state_dict(), tmp_path)

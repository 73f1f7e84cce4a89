"""Published files: every key named, and a file goes there and back unchanged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import train
from train.cli import app
from train.models.published import load_official
from train.models.soho import Soho, SohoConfig
from train.models.soho.official import WORDS, WORDS_ALIAS, config_of, official_soho_keys
from train.models.weight_files import OfficialMismatch


def test_the_keys_are_the_published_ones_in_number_and_size() -> None:
    keys = train.official_keys(model="soho")
    assert (len(keys), len(train.official_keys(model="soho_vqa"))) == (196, 185)
    with torch.device("meta"):
        model = Soho(SohoConfig(compat=True))
    assert sum(p.numel() for p in model.parameters()) == 57_269_572
    assert sum(value.numel() for name, value in model.named_buffers() if name in keys) == 3_160_986
    paper = SohoConfig(preset="soho_paper", compat=True)
    assert len(official_soho_keys(config=paper)) == 844
    with torch.device("meta"):
        assert sum(p.numel() for p in Soho(paper).parameters()) == 153_563_716


def test_depth_and_layers_are_recognised_by_the_keys() -> None:
    paper = SohoConfig(preset="soho_paper", compat=True)
    found = config_of(official_soho_keys(config=paper))
    assert (found.trunk, found.trunk_depths, found.n_layers) == ("bottleneck", (3, 4, 23, 3), 12)
    released = config_of(train.official_keys(model="soho"))
    assert (released.trunk, released.trunk_depths, released.n_layers) == ("basic", (2, 2, 2, 2), 3)


def shapes_only(**options: Any) -> dict[str, Tensor]:
    return {key: torch.zeros(()).expand(shape) for key, shape in official_soho_keys(**options).items()}


@pytest.mark.parametrize("vqa", [False, True])
def test_a_mismatch_names_missing_unknown_and_misshapen_keys(vqa: bool) -> None:
    weights = shapes_only(vqa=vqa)
    del weights["neck.ln.bias"]
    weights["head.other.weight"] = torch.zeros(1)
    weights["backbone.conv1.weight"] = torch.zeros(3, 3)
    with pytest.raises(OfficialMismatch) as caught:
        load_official(weights)
    message = str(caught.value)
    assert "1 missing: neck.ln.bias" in message
    assert "1 unknown: head.other.weight" in message
    assert "backbone.conv1.weight (3, 3) for (64, 3, 7, 7)" in message


def test_two_different_word_tables_are_refused() -> None:
    weights = shapes_only()
    weights[WORDS_ALIAS] = torch.ones(()).expand(weights[WORDS].shape)
    with pytest.raises(OfficialMismatch, match="one tensor in the model but differ"):
        load_official(weights)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "n_entries"), [("soho", 196), pytest.param("soho_vqa", 185, marks=pytest.mark.long)])
def test_a_published_file_goes_there_and_back_unchanged(model: Any, n_entries: int, tmp_path: Path) -> None:
    numbers = torch.randn(30522 * 768, generator=torch.Generator().manual_seed(0))
    weights = {
        f"module.{key}": numbers[: torch.Size(shape).numel()].view(shape)
        for key, shape in train.official_keys(model=model).items()
        if not key.endswith("num_batches_tracked") and key != WORDS_ALIAS
    }
    torch.save({"meta": {"epoch": 40}, "state_dict": weights}, tmp_path / "soho.pth")
    runner = CliRunner()
    there = runner.invoke(app, ["convert", str(tmp_path / "soho.pth"), str(tmp_path / "folder")])
    assert there.exit_code == 0, there.output
    back = runner.invoke(app, ["convert", str(tmp_path / "folder"), str(tmp_path / "back.pth")])
    assert back.exit_code == 0, back.output
    assert f"{n_entries} entries" in back.output
    written = torch.load(tmp_path / "back.pth", weights_only=True, mmap=True)["state_dict"]
    assert {key: tuple(value.shape) for key, value in written.items()} == train.official_keys(model=model)
    for key, value in weights.items():
        assert torch.equal(written[key.removeprefix("module.")], value), key

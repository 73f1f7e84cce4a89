"""Published checkpoints: which keys they hold, what is said of a file that isn't one, and the way there and back."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import train
from train.cli import app
from train.models.official import BIAS, BIAS_ALIAS, Stage, check_keys, load_official
from train.models.weight_files import OfficialMismatch

N_PARAMETERS_STAGE_1 = 309_903_488
N_NUMBERS = {1: 310_009_834, 2: 495_315_552}


def numbers(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def shapes_only(stage: Stage) -> dict[str, Tensor]:
    """An official state dict that takes no memory."""
    return {key: torch.zeros(()).expand(shape) for key, shape in train.official_keys(stage).items()}


def test_the_keys_are_the_published_ones_in_number_and_size() -> None:
    first, second = train.official_keys(1), train.official_keys(2)
    assert (len(first), len(second)) == (926, 1135)
    for stage, keys in ((1, first), (2, second)):
        assert sum(numbers(shape) for shape in keys.values()) == N_NUMBERS[stage]
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(numbers(s) for k, s in first.items() if not k.endswith(statistics)) == N_PARAMETERS_STAGE_1
    assert first.items() <= second.items()


def test_a_mismatch_names_missing_unknown_and_misshapen_keys() -> None:
    weights = shapes_only(1)
    del weights["transformer.t_proj.bias"]
    weights["transformer.classifier.0.weight"] = torch.zeros(1)
    weights["grid_encoder.0.weight"] = torch.zeros(3, 3)
    with pytest.raises(OfficialMismatch) as caught:
        load_official(weights)
    message = str(caught.value)
    assert "1 missing: transformer.t_proj.bias" in message
    assert "1 unknown: transformer.classifier.0.weight" in message
    assert "grid_encoder.0.weight (3, 3) for (1024, 2048, 1, 1)" in message


def test_two_different_values_for_the_one_shared_bias_are_refused() -> None:
    weights = shapes_only(2)
    weights[BIAS_ALIAS] = torch.ones(1).expand(weights[BIAS].shape)
    with pytest.raises(OfficialMismatch, match="one tensor in the model but differ"):
        check_keys(weights, 2)


@pytest.mark.slow
def test_a_checkpoint_goes_there_and_back_unchanged(tmp_path: Path) -> None:
    """In half precision, without batch counters, inside a training wrapper: as such files come."""
    generator = torch.Generator().manual_seed(0)
    numbers_of_all = torch.randn(30522 * 1024, generator=generator).half()
    weights = {
        f"module.{key}": numbers_of_all[: numbers(shape)].view(shape)
        for key, shape in train.official_keys(1).items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save({"model_state_dict": weights, "global_step": 3}, tmp_path / "official.bin")
    runner = CliRunner()
    there = runner.invoke(app, ["convert", str(tmp_path / "official.bin"), str(tmp_path / "folder")])
    assert there.exit_code == 0, there.output
    back = runner.invoke(app, ["convert", str(tmp_path / "folder"), str(tmp_path / "back.bin")])
    assert back.exit_code == 0, back.output
    assert "926 entries" in back.output
    written = torch.load(tmp_path / "back.bin", weights_only=True, mmap=True)
    assert {key: tuple(value.shape) for key, value in written.items()} == train.official_keys(1)
    for key, value in weights.items():
        assert torch.equal(written[key.removeprefix("module.")], value.float()), key
    assert "forbids handing them on" in (tmp_path / "folder" / "README.md").read_text()

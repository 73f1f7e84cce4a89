"""Files of weights: wrappers seen through, strangers' files named."""

import random
from pathlib import Path

import pytest
import torch

from bench.hostile_inputs import mutated
from manifests.errors import UserError
from train.models.weight_files import bare, load_file


@pytest.mark.parametrize("wrapper", ["model_state_dict", "state_dict", "model"])
def test_a_training_wrapper_and_a_module_prefix_are_seen_through(wrapper: str) -> None:
    inner = {"module.cnn.conv1.weight": torch.zeros(2)}
    assert list(bare({wrapper: inner, "global_step": 3})) == ["cnn.conv1.weight"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read"), (b"PK\x03\x04 cut", "cannot be read"), (None, "no such weights file")],
)
@pytest.mark.parametrize("name", ["model.bin", "model.safetensors"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_file(file)
    assert name in str(caught.value)


@pytest.mark.parametrize("old", [True, False])
def test_damaged_weights_are_one_message_whatever_the_damage(tmp_path: Path, old: bool) -> None:
    file = tmp_path / "model.bin"
    torch.save({"a": torch.arange(12.0), "b": torch.zeros(3)}, file, _use_new_zipfile_serialization=not old)
    whole, refused = file.read_bytes(), 0
    for seed in range(150):
        file.write_bytes(mutated(whole, random.Random(seed)))
        try:
            load_file(file)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 75


def test_a_list_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "model.bin")
    with pytest.raises(UserError, match="no flat state dict"):
        load_file(tmp_path / "model.bin")

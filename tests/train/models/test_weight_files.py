"""Files of weights: wrappers seen through, strangers' files named."""

from pathlib import Path

import pytest
import torch

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


def test_a_list_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "model.bin")
    with pytest.raises(UserError, match="no flat state dict"):
        load_file(tmp_path / "model.bin")

"""Weights to start from: files, their sources, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants as hub

from manifests.errors import UserError
from tests.train.model_cases import small_config
from train.models import build_model


def test_trunks_and_bert_start_from_files_and_the_sources_say_so(tmp_path: Path) -> None:
    donor = build_model(small_config(stage=2), seed=7)
    torch.save({f"backbone.{key}": value for key, value in donor.cnn.state_dict().items()}, tmp_path / "resnet.pth")
    bert = {
        key.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): v
        for key, v in donor.transformer.state_dict().items()
        if key.startswith(("bert.embeddings", "bert.encoder"))
    }
    torch.save(bert, tmp_path / "bert.bin")
    sources = {"trunk_weights": str(tmp_path / "resnet.pth"), "bert_weights": str(tmp_path / "bert.bin")}
    model = build_model(small_config(stage=2, **sources), seed=0)
    for trunk in (model.cnn, model.cnn_low):
        assert all(torch.equal(value, donor.cnn.state_dict()[key]) for key, value in trunk.state_dict().items())
    found, wanted = model.transformer.bert.encoder.state_dict(), donor.transformer.bert.encoder.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in found.items())
    assert "resnet.pth" in model.weight_sources["trunks"] and "bert.bin" in model.weight_sources["bert"]


def test_weights_that_were_asked_for_and_are_out_of_reach_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="of bert: google-bert/bert-large-uncased is out of reach") as raised:
        build_model(small_config(bert_weights="google-bert/bert-large-uncased"), seed=4)
    assert "initial weights" in str(raised.value) and "give a local file or folder, or random" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"), [({"conv1.weight": torch.zeros(1)}, "lacks .* tensors"), (b"no weights", "cannot be read")]
)
def test_a_weights_file_that_does_not_fit_is_named(tmp_path: Path, content: Any, message: str) -> None:
    file = tmp_path / "resnet.pth"
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    with pytest.raises(UserError, match=message) as caught:
        build_model(small_config(trunk_weights=str(file)), seed=0)
    assert "resnet.pth" in str(caught.value)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "touched").touch, ())

    torch.save({"conv1.weight": Attack()}, tmp_path / "resnet.pth")
    with pytest.raises(UserError, match="cannot be read as weights"):
        build_model(small_config(trunk_weights=str(tmp_path / "resnet.pth")), seed=0)
    assert not (tmp_path / "touched").exists()

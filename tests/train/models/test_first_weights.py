"""First weights: the seed decides, files fill parts, and what is refused; files of weights by strangers."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants as hub

from bench.hostile_inputs import mutated
from manifests.errors import UserError
from tests.train.model_cases import small_batch, small_config
from train.models import build_model
from train.models.weight_files import bare, load_file


def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_draws_alone() -> None:
    torch.manual_seed(9)
    wanted_draw = torch.rand(3)
    torch.manual_seed(9)
    first, again, other = (build_model(small_config(), seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), wanted_draw)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_attention_in_time_starts_at_zero_as_published_or_drawn_where_nothing_pre_trained_comes():
    published, drawn = (build_model(small_config(time_init=init), seed=0) for init in ("zero", "random"))
    for block in published.timesformer.blocks:
        assert not block.temporal_fc.weight.any()
    assert not published.timesformer.time_embed.any()
    assert drawn.timesformer.time_embed.std() > 0.2
    assert all(block.temporal_fc.weight.std() > 0.1 for block in drawn.timesformer.blocks)  # 1 / sqrt(16) = 0.25

    batch = small_batch(small_config(), 2)
    for model, sees_order in ((published, False), (drawn, True)):
        model = model.double().eval()
        pair = [model.embed_video(batch.img_middle, x) for x in (batch.img_other, batch.img_other.flip(2))]
        assert torch.allclose(*pair, atol=1e-7) is not sees_order


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

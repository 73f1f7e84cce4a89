"""What the model promises at any size: shapes, independence, equal shortcuts, clear refusals."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from manifests.errors import UserError
from tests.conftest import REPO
from tests.train.model_cases import gradients_of, small_batch, small_config, small_model, whole_loss
from train.models import build_model
from train.models.bert import mean_over_tokens
from train.models.hd_vila import Temperature
from train.models.resnet import FrozenBatchNorm
from train.models.timesformer import Block, DropPath


def test_embeddings_have_length_one_and_a_row_a_clip() -> None:
    model, batch = small_model(), small_batch(small_config(), 3)
    features = model(batch)
    for embedding in (features.video, features.text):
        assert embedding.shape == (3, 16)
        assert torch.allclose(embedding.norm(dim=1), torch.ones(3, dtype=torch.float64))


def test_a_clips_embedding_does_not_depend_on_its_neighbours() -> None:
    for norm in ("frozen_batch", "group"):
        model, batch = small_model(trunk_norm=norm), small_batch(small_config(), 4)
        together, alone = model(batch), model(batch[2:3])
        assert torch.allclose(together.video[2], alone.video[0], atol=1e-12)
        assert torch.allclose(together.text[2], alone.text[0], atol=1e-12)


def test_padding_does_not_change_a_sentences_embedding() -> None:
    model, batch = small_model(), small_batch(small_config(), 2)
    n = int(batch.attention_mask[0].sum())
    short = model.embed_text(batch.input_ids[:1, :n], batch.attention_mask[:1, :n])
    other = batch.input_ids.clone()
    other[0, n:] = 7
    assert torch.allclose(short, model.embed_text(batch.input_ids, batch.attention_mask)[:1], atol=1e-12)
    assert torch.allclose(short, model.embed_text(other, batch.attention_mask)[:1], atol=1e-12)


def test_a_sentence_without_any_token_is_finite() -> None:
    model, batch = small_model(), small_batch(small_config(), 2)
    embedding = model.embed_text(batch.input_ids, torch.zeros_like(batch.attention_mask))
    assert bool(torch.isfinite(embedding).all())
    assert torch.equal(mean_over_tokens(torch.ones(1, 2, 3), torch.zeros(1, 2)), torch.zeros(1, 3))


def test_the_order_of_frames_counts() -> None:
    model, batch = small_model(), small_batch(small_config(), 1)
    backwards = model.embed_video(batch.img_middle, batch.img_other.flip(2))
    assert not torch.allclose(backwards, model.embed_video(batch.img_middle, batch.img_other), atol=1e-6)


def test_the_last_block_computes_one_frame_with_the_gradients_of_all() -> None:
    torch.manual_seed(0)
    block = Block(16, 2, drop_path=0.0).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 5, 6, 16, dtype=torch.float64, requires_grad=True)
    block(x)[:, 2].square().sum().backward()
    wanted, wanted_x = gradients_of(block), x.grad
    block.zero_grad()
    x.grad = None
    block(x, 2).square().sum().backward()
    assert all(torch.allclose(found, wanted[name], atol=1e-9) for name, found in gradients_of(block).items())
    assert wanted_x is not None and x.grad is not None and torch.allclose(x.grad, wanted_x, atol=1e-9)


def test_a_folded_normalisation_is_the_unfolded_one_with_its_gradients() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False).double(), FrozenBatchNorm(5).double().train()
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    plain = F.batch_norm(conv(x), norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    parameters = [conv.weight, norm.weight, norm.bias]
    wanted = torch.autograd.grad(plain.square().sum(), parameters)
    folded = norm.after(conv, x)
    assert torch.allclose(folded, plain)
    for found, right in zip(torch.autograd.grad(folded.square().sum(), parameters), wanted, strict=True):
        assert torch.allclose(found, right)


def test_batch_statistics_never_move() -> None:
    model, batch = small_model().train(), small_batch(small_config(), 2)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(batch)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_a_dropped_path_is_all_or_nothing_for_a_row_and_right_on_average() -> None:
    drop = DropPath(0.25).train()
    torch.manual_seed(0)
    out = drop(torch.ones(4000, 3), (4000, 1))
    assert {round(float(v), 4) for v in out.unique()} == {0.0, round(1 / 0.75, 4)}
    assert torch.equal(out[:, 0], out[:, 2])
    assert float(out.mean()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(4, 3), (4, 1)), torch.ones(4, 3))


def test_checkpointed_blocks_give_equal_gradients_with_dropout_on() -> None:
    found = []
    for checkpointed in (False, True):
        changes: dict[str, Any] = {"gradient_checkpointing": checkpointed, "dropout": 0.3, "drop_path": 0.3}
        model, batch = small_model(**changes).train(), small_batch(small_config(), 2)
        torch.manual_seed(5)
        torch.autograd.backward(whole_loss(model(batch), batch))
        found.append(gradients_of(model))
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-12) for name in found[0])


def test_what_is_never_read_has_no_gradient_and_everything_else_has_one() -> None:
    for stage, prefixes in ((1, ("timesformer.norm", "cnn_low.layer4")), (2, ("transformer.bert.pooler2",))):
        model = small_model(stage=stage)
        batch = small_batch(small_config(stage=stage), 2)
        torch.autograd.backward(whole_loss(model(batch), batch))
        without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
        assert without == {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        assert all(any(name.startswith(prefix) for name in without) for prefix in prefixes)


def test_a_frozen_stage_1_keeps_still_and_quiet_while_stage_2_learns() -> None:
    changes: dict[str, Any] = {"stage": 2, "freeze_stage1": True, "dropout": 0.5, "drop_path": 0.5}
    model, batch = small_model(**changes).train(), small_batch(small_config(stage=2), 2)
    assert torch.equal(model(batch).video, model(batch).video), "no dropout in what doesn't learn"
    torch.autograd.backward(whole_loss(model(batch), batch))
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    upper = ("transformer.bert.encoder.layer.1.", "transformer.cls.predictions.", "transformer.bert.visual_embeddings.")
    assert with_gradient and all(name.startswith(upper) for name in with_gradient)


def test_a_stage_1_model_goes_on_as_stage_2(tmp_path: Path) -> None:
    first = build_model(small_config(), seed=1)
    torch.save(first.state_dict(), tmp_path / "stage1.pt")
    second = build_model(small_config(stage=2, model_weights=str(tmp_path / "stage1.pt")), seed=2)
    own = second.state_dict()
    assert all(torch.equal(own[key], value) for key, value in first.state_dict().items())
    assert "others from" in second.weight_sources["model"]


def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_draws_alone() -> None:
    torch.manual_seed(9)
    wanted_draw = torch.rand(3)
    torch.manual_seed(9)
    first, again, other = (build_model(small_config(), seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), wanted_draw)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


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


def offline(program: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A program without the hub's weights within reach."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(REPO)}
    return subprocess.run([sys.executable, "-c", program], env=environment, cwd=REPO, capture_output=True, text=True)


def test_weights_that_were_asked_for_and_are_out_of_reach_end_it(tmp_path: Path) -> None:
    done = offline(
        """if True:
        from tests.train.model_cases import small_config
        from train.models import build_model
        build_model(small_config(bert_weights="google-bert/bert-large-uncased"), seed=4)
        """,
        tmp_path,
    )
    assert "UserError: first weights of bert: google-bert/bert-large-uncased is out of reach" in done.stderr
    assert "model.allow_random: true" in done.stderr


def test_where_that_is_allowed_they_stay_random_and_are_said_to(tmp_path: Path) -> None:
    done = offline(
        """if True:
        from tests.train.model_cases import small_config
        from train.models import build_model
        asked = build_model(small_config(bert_weights="google-bert/bert-large-uncased", allow_random=True), seed=4)
        random = build_model(small_config(), seed=4).state_dict()
        assert all((random[key] == value).all() for key, value in asked.state_dict().items())
        print(asked.weight_sources["bert"])
        """,
        tmp_path,
    )
    assert done.stdout.strip() == "random, seed 4 (google-bert/bert-large-uncased was out of reach)", done.stderr
    assert "out of reach, keeping random ones" in done.stderr


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


@pytest.mark.parametrize(
    ("middle", "other", "message"),
    [
        (None, None, "no frames"),
        ((1, 2, 3, 64, 128), (1, 1, 2, 3, 16, 32), "clips, segments"),
        ((1, 2, 3, 64, 128), (1, 2, 2, 3, 32, 32), "four times"),
        ((1, 2, 3, 60, 128), None, "multiples of 64"),
        (None, (1, 2, 2, 3, 18, 32), "multiples of 16"),
        ((2, 3, 64, 128), None, r"\[B, S, 3, H, W\]"),
    ],
)
def test_frames_of_the_wrong_shape_are_named(middle: Any, other: Any, message: str) -> None:
    frames = [None if shape is None else torch.zeros(shape) for shape in (middle, other)]
    with pytest.raises(ValueError, match=message):
        small_model().embed_video(*frames)


def test_a_learned_temperature_is_bounded_and_a_fixed_one_is_no_key() -> None:
    learned = Temperature(0.05, 0.0, learned=True)
    assert float(learned()[0].detach()) == pytest.approx(20.0)
    with torch.no_grad():
        learned.logit_scale.fill_(50.0)
    assert float(learned()[0].detach()) == pytest.approx(100.0)
    assert not Temperature(0.05, 0.0, learned=False).state_dict()


def test_a_temperature_at_its_bound_can_come_back() -> None:
    learned = Temperature(0.05, 0.0, learned=True)
    with torch.no_grad():
        learned.logit_scale.fill_(6.0)
    scale, _ = learned()
    torch.autograd.backward(scale)
    assert isinstance(learned.logit_scale, torch.nn.Parameter)
    assert learned.logit_scale.grad is not None
    assert float(learned.logit_scale.grad) == pytest.approx(100.0)
    learned.bound()
    assert float(learned.logit_scale.detach().exp()) == pytest.approx(100.0)


def test_logits_are_fp32_under_bf16() -> None:
    model = small_model(stage=2, itm=True).float()
    batch = small_batch(small_config(stage=2, itm=True), 2).having({"itm_labels": torch.tensor([1, 0])})
    with torch.autocast("cpu", torch.bfloat16):
        features = model(batch)
    assert features.mlm_logits is not None and features.itm_logits is not None
    assert features.mlm_logits.dtype == features.itm_logits.dtype == torch.float32


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

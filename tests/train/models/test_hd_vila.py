"""What the model promises at any size: shapes, independence, equal shortcuts, clear refusals."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.model_cases import gradients_of, small_batch, small_config, small_model, whole_loss
from train.models import build_model
from train.models.bert import mean_over_tokens
from train.models.hd_vila import Batch


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


def test_batch_statistics_never_move() -> None:
    model, batch = small_model().train(), small_batch(small_config(), 2)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(batch)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


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


def test_logits_are_fp32_under_bf16() -> None:
    model = small_model(stage=2, itm=True).float()
    batch = small_batch(small_config(stage=2, itm=True), 2).having({"itm_labels": torch.tensor([1, 0])})
    with torch.autocast("cpu", torch.bfloat16):
        features = model(batch)
    assert features.mlm_logits is not None and features.itm_logits is not None
    assert features.mlm_logits.dtype == features.itm_logits.dtype == torch.float32


def test_what_a_view_leaves_out_is_none_in_every_part() -> None:
    batch = Batch(None, torch.zeros(3, 1, 2, 3, 16, 32), torch.ones(3, 8, dtype=torch.int64), torch.ones(3, 8))

    for part in (batch, batch[1:], *batch.split(1)):
        assert isinstance(part, Batch) and part.img_middle is None and part.mlm_labels is None
        assert part.img_other is not None
    with pytest.raises(AttributeError, match="input_ids"):
        _ = batch.no_such_tensor


def test_an_answering_model_has_a_classifier_for_other_heads_and_trains_all_that_it_reads() -> None:
    model = small_model(stage=2, n_answers=5)
    model.mark_trainable(["answers"], "hybrid", ())
    rows = small_batch(model.config, 2)
    three = {name: rows[name][:, None].repeat(1, 3, 1) for name in ("input_ids", "attention_mask")}

    logits = model(rows.having(three)).answer_logits
    logits.sum().backward()

    assert logits.shape == (2, 3), "a score of each of three texts"
    keys = {key.split(".")[1] for key in model.state_dict() if key.startswith("transformer.")}
    assert keys == {"bert", "classifier"}
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def test_an_answer_does_not_depend_on_how_often_the_same_segment_is_read() -> None:
    model = small_model(stage=2, n_answers=5).eval()
    rows = small_batch(model.config, 2)
    maps, _ = model.visual_input(rows)

    once = model.answer(maps, rows.input_ids, rows.attention_mask)
    often = model.answer(maps.repeat_interleave(4, 1), rows.input_ids, rows.attention_mask)

    assert torch.allclose(once, often, atol=1e-12)

"""Stage 2 at full size agrees with the published model: embeddings, masked words, matching, gradients."""

import pytest
import torch

from tests.train.models.golden import (
    LOSS_TOLERANCE,
    Recorder,
    assert_embeddings_agree,
    assert_gradients_agree,
    assert_statistics_agree,
    golden,
    golden_inputs,
    golden_model,
)
from train.losses import contrastive_loss, itm_loss, labels_of_matches, mlm_loss
from train.models.hd_vila import Batch, HDVila
from train.models.multimodal import over_segments

ITM_LABELS = torch.tensor([1, 0])


@pytest.fixture(scope="module")
def model() -> HDVila:
    return golden_model(2)


def batch_of(case: str, *, itm: bool) -> Batch:
    """The case's batch; with matching, row 1 doesn't match and its words aren't asked."""
    middle, other, ids, mask = golden_inputs(2, case)
    assert middle is not None and other is not None
    labels = torch.tensor(golden(2)["text"]["mlm_labels"])
    if itm:
        return Batch(middle, other, ids, mask, labels_of_matches(labels, ITM_LABELS), ITM_LABELS)
    return Batch(middle, other, ids, mask, labels)


def assert_case_agrees(model: HDVila, case: str) -> None:
    wanted = golden(2)["cases"][case]["fp32"]
    batch = batch_of(case, itm=True)
    with torch.no_grad(), Recorder(model) as recorder:
        features = model(batch)
    assert_embeddings_agree(features.video, wanted["vis_features"], "video")
    assert_embeddings_agree(features.text, wanted["text_features"], "text")
    recorder.assert_agree(wanted["intermediates"])
    itc = contrastive_loss(features.video, features.text, features.logit_scale)
    assert float(itc) == pytest.approx(wanted["itc_loss_temp0p05"], abs=LOSS_TOLERANCE)
    assert features.mlm_logits is not None and features.itm_logits is not None and batch.mlm_labels is not None
    mlm = mlm_loss(features.mlm_logits, batch.mlm_labels)
    assert float(mlm) == pytest.approx(wanted["mlm_loss_with_itm_labels_1_0"], abs=LOSS_TOLERANCE)
    itm = itm_loss(features.itm_logits, ITM_LABELS)
    assert float(itm) == pytest.approx(wanted["itm_loss_labels_1_0"], abs=LOSS_TOLERANCE)


def test_embeddings_and_the_three_losses_are_the_published_models(model: HDVila) -> None:
    assert_case_agrees(model, "small")


def test_visual_tokens_and_logits_of_every_word_are_the_published_models(model: HDVila) -> None:
    wanted = golden(2)["cases"]["small"]["fp32"]
    middle, other, ids, mask = golden_inputs(2, "small")
    with torch.no_grad():
        maps = model.encode_frames(middle, other)
        both = model.transformer.bert.read_both(model.transformer.bert.read_text(ids, mask), mask, maps)
        words = over_segments(both[:, :, : ids.shape[1]])
        logits = model.transformer.cls.predictions(words)
    assert_statistics_agree(both[:, :, ids.shape[1] :], wanted["vtoken_output"], "visual tokens")
    assert_statistics_agree(words, wanted["intermediates"]["cls.in.sequence(lse)"], "hidden states over segments")
    assert_statistics_agree(logits, wanted["intermediates"]["cls.mlm_logits"], "word logits")


def test_gradients_of_the_masked_language_loss_are_the_published_models(model: HDVila) -> None:
    wanted = golden(2)["cases"]["small"]["fp32"]
    batch = batch_of("small", itm=False)
    assert batch.mlm_labels is not None
    loss = mlm_loss(model(batch).mlm_logits, batch.mlm_labels)
    assert float(loss.detach()) == pytest.approx(wanted["mlm_loss_no_itm"], abs=LOSS_TOLERANCE)
    torch.autograd.backward(loss)
    assert_gradients_agree(model, wanted["grad"])
    model.zero_grad(set_to_none=True)


@pytest.mark.long
def test_at_full_resolution_it_is_the_published_model(model: HDVila) -> None:
    assert_case_agrees(model, "full")

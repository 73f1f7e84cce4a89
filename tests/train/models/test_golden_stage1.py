"""Stage 1 at full size agrees with the published model, number by number (see golden.py for where the numbers lie)."""

import pytest
import torch
from torch import Tensor

from tests.train.models.golden import (
    LOSS_TOLERANCE,
    Recorder,
    assert_embeddings_agree,
    assert_gradients_agree,
    golden,
    golden_inputs,
    golden_model,
)
from train.benchmarks.benchmark import BenchmarkOptions, score_queries
from train.benchmarks.caption_files import Query
from train.exports.inference import Encoder
from train.losses import contrastive_loss
from train.models.hd_vila import HDVila

CASES = ["small", "small_11f", "small_hr_only", "small_lr_only"]


@pytest.fixture(scope="module")
def model() -> HDVila:
    return golden_model(1)


def assert_case_agrees(model: HDVila, case: str) -> Tensor:
    """Embeddings, similarity and loss; gives the loss."""
    wanted = golden(1)["cases"][case]["fp32"]
    video, text = model.embed(*golden_inputs(1, case))
    assert_embeddings_agree(video.detach(), wanted["vis_features"], "video")
    assert_embeddings_agree(text.detach(), wanted["text_features"], "text")
    similarity = torch.tensor(wanted["similarity_text_rows_video_cols"])
    assert torch.allclose((text @ video.T).detach(), similarity, atol=2e-6, rtol=0)
    loss = contrastive_loss(video, text, torch.tensor([1 / 0.05]))
    assert float(loss.detach()) == pytest.approx(wanted["itc_loss_temp0p05"], abs=LOSS_TOLERANCE)
    return loss


@pytest.mark.parametrize("case", CASES)
def test_embeddings_similarity_and_loss_are_the_published_models(model: HDVila, case: str) -> None:
    with torch.no_grad():
        assert_case_agrees(model, case)


def test_intermediates_and_gradients_are_the_published_models(model: HDVila) -> None:
    wanted = golden(1)["cases"]["small"]["fp32"]
    with Recorder(model) as recorder:
        loss = assert_case_agrees(model, "small")
    recorder.assert_agree(wanted["intermediates"])
    torch.autograd.backward(loss)
    assert_gradients_agree(model, wanted["grad"])
    model.zero_grad(set_to_none=True)


def test_a_float_and_a_byte_picture_give_the_same_embedding(model: HDVila) -> None:
    middle, other, _, _ = golden_inputs(1, "small")
    assert middle is not None and other is not None
    with torch.no_grad():
        as_float = model.embed_video(middle[:1], other[:1])
        as_byte = model.embed_video(middle[:1].byte(), other[:1].byte())
    assert torch.equal(as_float, as_byte)


def test_a_benchmark_scores_by_the_published_similarities(model: HDVila) -> None:
    middle, other, ids, mask = golden_inputs(1, "small")
    assert middle is not None and other is not None
    encoder = Encoder(model, None)
    video = encoder.embed_views([(middle[n].byte(), other[n].byte()) for n in range(len(middle))])
    with torch.no_grad():
        text = model.embed_text(ids, mask)
    queries = [Query("first", "one"), Query("second", "other")]

    scores = score_queries(
        video, ["first", "second"], text, queries, BenchmarkOptions(), temperature=encoder.temperature
    )

    published = torch.tensor(golden(1)["cases"]["small"]["fp32"]["similarity_text_rows_video_cols"])
    assert torch.allclose(text @ video.T, published, atol=2e-6, rtol=0)
    # [[-0.0037, -0.0073], [0.0155, 0.0131]]: the first text finds its video, the second the other's.
    assert (scores.text_to_video.r1, scores.text_to_video.mean_rank) == (0.5, 1.5)
    assert (scores.video_to_text.r1, scores.video_to_text.mean_rank) == (0.5, 1.5)


@pytest.mark.long
def test_at_full_resolution_it_is_the_published_model(model: HDVila) -> None:
    wanted = golden(1)["cases"]["full"]["fp32"]["intermediates"]
    with torch.no_grad(), Recorder(model) as recorder:
        assert_case_agrees(model, "full")
    recorder.assert_agree(wanted)

"""What the objectives are, written out the long way."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from train.losses import (
    MaskTokens,
    contrastive_loss,
    itm_loss,
    labels_of_matches,
    mask_tokens,
    mlm_loss,
)

TOKENS = MaskTokens(mask_id=4, special_ids=(0, 1, 2, 3, 4), vocab_size=1000)


def pairs(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    video, text = (F.normalize(torch.randn(n, 16, generator=generator), dim=-1) for _ in range(2))
    return video, text


def test_infonce_is_the_mean_of_both_directions() -> None:
    video, text = pairs(5)
    similarity = (text @ video.T / 0.05).double()
    rows = -sum(similarity.log_softmax(1)[i, i] for i in range(5)) / 5
    columns = -sum(similarity.log_softmax(0)[i, i] for i in range(5)) / 5
    loss = contrastive_loss(video, text, torch.tensor([20.0]))
    assert float(loss) == pytest.approx(float(rows + columns) / 2, rel=1e-5)


def test_siglip_is_the_sum_over_all_pairs_by_the_number_of_rows() -> None:
    video, text = pairs(4)
    total = 0.0
    for i in range(4):
        for j in range(4):
            logit = 10.0 * float(text[i] @ video[j]) - 3.0
            total += math.log1p(math.exp(-logit if i == j else logit))
    loss = contrastive_loss(video, text, torch.tensor([10.0]), kind="siglip", logit_bias=torch.tensor([-3.0]))
    assert float(loss) == pytest.approx(total / 4, rel=1e-5)


def test_a_matched_batch_has_a_lower_loss_than_a_shuffled_one() -> None:
    video, _ = pairs(8)
    for kind in ("infonce", "siglip"):
        matched = contrastive_loss(video, video, torch.tensor([20.0]), kind=kind)
        shuffled = contrastive_loss(video, video.roll(1, 0), torch.tensor([20.0]), kind=kind)
        assert matched < shuffled


def test_under_bf16_autocast_the_loss_is_still_computed_in_fp32() -> None:
    video, text = pairs(64)
    plain = contrastive_loss(video, text, torch.tensor([100.0]))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(contrastive_loss(video, text, torch.tensor([100.0])), plain)


def test_a_learned_bias_gets_a_zero_gradient_from_infonce() -> None:
    video, text = pairs(3)
    bias = torch.zeros(1, requires_grad=True)
    contrastive_loss(video, text, torch.ones(1), logit_bias=bias).backward()
    assert bias.grad is not None
    assert float(bias.grad) == 0.0


def test_a_batch_without_masked_words_has_loss_zero_and_not_nan() -> None:
    logits = torch.zeros(0, 30, requires_grad=True)
    loss = mlm_loss(logits, torch.full((2, 10), -100))
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_words_of_a_pair_that_does_not_match_are_not_asked_and_the_labels_stay_as_they_were() -> None:
    labels = torch.tensor([[5, -100], [6, 7]])
    assert labels_of_matches(labels, torch.tensor([1, 0])).tolist() == [[5, -100], [-100, -100]]
    assert labels.tolist() == [[5, -100], [6, 7]]


def test_matching_is_two_way_cross_entropy() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    wanted = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.0))) / 2
    assert float(itm_loss(logits, torch.tensor([1, 0]))) == pytest.approx(wanted, rel=1e-6)


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 5), share=st.floats(0.05, 0.9))
def test_masking_never_touches_special_tokens_and_labels_say_what_was_there(seed: int, rows: int, share: float) -> None:
    ids = torch.randint(0, TOKENS.vocab_size, (rows, 20), generator=torch.Generator().manual_seed(seed))
    before = ids.clone()
    masked, labels = mask_tokens(ids, TOKENS, torch.Generator().manual_seed(seed), share=share)
    special = torch.isin(ids, torch.tensor(TOKENS.special_ids))
    assert torch.equal(ids, before)
    assert torch.equal(masked[special], ids[special])
    assert bool((labels[special] == -100).all())
    asked = labels != -100
    assert torch.equal(labels[asked], ids[asked])
    assert torch.equal(masked[~asked], ids[~asked])


def test_of_the_chosen_tokens_eight_in_ten_are_masked_one_is_random_one_stays() -> None:
    ids = torch.full((1000, 40), 500)
    masked, labels = mask_tokens(ids, TOKENS, torch.Generator().manual_seed(1))
    chosen = labels != -100
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((masked[chosen] == 4).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((masked[chosen] == 500).float().mean()) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("kind", ["infonce", "siglip"])
def test_pairs_of_the_same_caption_are_no_negatives_of_each_other(kind) -> None:
    video, text = pairs(4)
    captions = torch.tensor([7, -3, 7, 5])  # rows 0 and 2 have the same words

    loss = contrastive_loss(video, text, torch.tensor([10.0]), kind=kind, caption_ids=captions)

    similarity = 10.0 * (text @ video.T).double()
    left = [[j for j in range(4) if j == i or captions[i] != captions[j]] for i in range(4)]
    if kind == "infonce":
        rows = sum(similarity[i, left[i]].logsumexp(0) - similarity[i, i] for i in range(4)) / 4
        columns = sum(similarity[left[i], i].logsumexp(0) - similarity[i, i] for i in range(4)) / 4
        wanted = float(rows + columns) / 2
    else:
        signs = torch.eye(4) * 2 - 1
        wanted = float(-sum(F.logsigmoid(signs[i, j] * similarity[i, j]) for i in range(4) for j in left[i]) / 4)
    assert float(loss) == pytest.approx(wanted, rel=1e-5)

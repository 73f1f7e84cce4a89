"""Visual parsing: masking by the parser's attention, and targets that can't collapse."""

import pytest
import torch
from torch import Tensor

from tests.train.models.small_parsing import small_batch, small_config
from train.models.soho.batch import ImageBatch
from train.models.visual_parsing import (
    VisualParsing,
    build_visual_parsing,
    visual_parsing_losses,
)
from train.models.visual_parsing.model import related_tokens


def test_a_drawn_token_is_masked_with_those_it_attends_to_most() -> None:
    attention = torch.zeros(1, 10, 10)
    attention[0, 4] = torch.tensor([0.1, 0.0, 0.3, 0.05, 0.9, 0.2, 0.1, 0.1, 0.1, 0.05])
    valid = torch.ones(1, 10, dtype=torch.bool)
    masked = related_tokens(attention, valid, torch.tensor([0.45]), 0.4)
    assert masked[0].nonzero()[:, 0].tolist() == [0, 2, 4, 5]  # 4 itself, .3, .2, and of the tied .1 the first


def test_padding_is_never_masked_and_as_many_tokens_as_the_share_says() -> None:
    g = torch.Generator().manual_seed(0)
    attention = torch.rand(50, 49, 49, generator=g)
    valid = torch.ones(50, 49, dtype=torch.bool)
    valid[:, 40:] = False
    masked = related_tokens(attention, valid, torch.rand(50, generator=g), 0.15)
    assert not masked[:, 40:].any()
    assert set(masked.sum(1).tolist()) == {6}
    full = related_tokens(attention, torch.ones_like(valid), torch.rand(50, generator=g), 0.15)
    assert set(full.sum(1).tolist()) == {7}  # of 49 tokens: the drawn one and six


def test_pairs_that_do_not_match_are_masked_but_not_asked() -> None:
    model = build_visual_parsing(small_config(), seed=0)
    batch = small_batch()
    with torch.no_grad():
        output = model(batch)
    assert output.mfr_mask.any(1).tolist() == [False, True, False, True]
    assert (output.mfr_error > 0).tolist() == [False, True, False, True]


def test_evaluation_masks_nothing_by_itself() -> None:
    model = build_visual_parsing(small_config(), seed=0).eval()
    batch = small_batch()
    plain = ImageBatch(batch.images, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    with torch.no_grad():
        output = model(plain)
    assert not output.mfr_mask.any()
    assert float(visual_parsing_losses(output, plain)["mfr"]) == 0


def test_what_lies_outside_a_picture_is_no_token() -> None:
    model = build_visual_parsing(small_config(), seed=0).eval()
    with torch.no_grad():
        output = model(small_batch())
    assert output.visual_mask.sum(1).tolist() == [6, 4, 6, 4]


def test_every_parameter_gets_a_gradient() -> None:
    model = build_visual_parsing(small_config(), seed=0)
    batch = small_batch()
    torch.autograd.backward(visual_parsing_losses(model(batch), batch)["total"])
    unreached = [name for name, p in model.named_parameters() if p.grad is None]
    assert unreached == []


def total_of(model: VisualParsing, batch: ImageBatch) -> Tensor:
    """A loss that is a sum over rows, through every output."""
    output = model(batch)
    assert output.mlm_logits is not None
    return output.itm_logits.square().sum() + output.mlm_logits.square().sum() + output.mfr_error.sum()


@pytest.mark.parametrize("recompute", [False, True])
def test_micro_batches_give_the_whole_batchs_gradients(recompute: bool) -> None:
    batch = small_batch(8, s=2)
    models = [build_visual_parsing(small_config(gradient_checkpointing=recompute), seed=1).double() for _ in range(2)]
    torch.autograd.backward(total_of(models[0], batch))
    for part in batch.split(2):
        torch.autograd.backward(total_of(models[1], part))
    for (name, a), (_, b) in zip(models[0].named_parameters(), models[1].named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None, name
        assert torch.allclose(a.grad, b.grad, atol=1e-9), name


def test_the_three_losses_fall_on_one_batch_and_targets_keep_their_variance() -> None:
    torch.manual_seed(0)
    model = build_visual_parsing(small_config(), seed=0)
    batch = small_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    curves: dict[str, list[float]] = {}
    for _ in range(80):
        losses = visual_parsing_losses(model(batch), batch)
        torch.autograd.backward(losses["total"])
        optimizer.step()
        optimizer.zero_grad()
        for name, value in {**losses, "variance": model.target_variance}.items():
            curves.setdefault(name, []).append(float(value.detach()))
    for name in ("mlm", "itm", "mfr"):
        assert curves[name][-1] < 0.5 * curves[name][0], (name, curves[name][0], curves[name][-1])
    assert curves["variance"][-1] > 0.5 * curves["variance"][0]


def test_the_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(5)
    first = build_visual_parsing(small_config(), seed=3).state_dict()
    torch.manual_seed(6)
    second = build_visual_parsing(small_config(), seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)

"""Visual parsing: masking by the parser's attention, targets that can't collapse, settings that cannot be meant."""

from typing import Any

import pytest
import torch
from torch import Tensor

from manifests.errors import ConfigError
from manifests.settings import parse_config
from tests.train.models.small_parsing import small_batch, small_config
from train.losses import IGNORED, itm_loss, labels_of_matches, mlm_loss
from train.models.soho.batch import ImageBatch
from train.models.visual_parsing import (
    VisualParsingConfig,
    VisualParsingOutput,
    build_visual_parsing,
)
from train.models.visual_parsing.model import related_tokens

FALLS = [(10, 1.0), pytest.param(80, 0.5, marks=pytest.mark.long)]
"""Steps, and what is left of each loss then, at most."""


def visual_parsing_losses(output: VisualParsingOutput, batch: ImageBatch) -> dict[str, Tensor]:
    mlm = itm = output.itm_logits.new_zeros(())
    if batch.mlm_labels is not None and batch.itm_labels is not None and output.mlm_logits is not None:
        kept = labels_of_matches(batch.mlm_labels, batch.itm_labels)
        mlm = mlm_loss(output.mlm_logits[(kept != IGNORED)[batch.mlm_labels != IGNORED]], kept)
        itm = itm_loss(output.itm_logits, batch.itm_labels)
    mfr = output.mfr_error.sum() / output.mfr_mask.any(1).sum().clamp(min=1)
    return {"mlm": mlm, "itm": itm, "mfr": mfr, "total": mlm + itm + mfr}


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


@pytest.mark.parametrize(("n_steps", "most"), FALLS)
def test_the_three_losses_fall_on_one_batch_and_targets_keep_their_variance(n_steps: int, most: float) -> None:
    torch.manual_seed(0)
    model = build_visual_parsing(small_config(), seed=0)
    batch = small_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    curves: dict[str, list[float]] = {}
    for _ in range(n_steps):
        losses = visual_parsing_losses(model(batch), batch)
        torch.autograd.backward(losses["total"])
        optimizer.step()
        optimizer.zero_grad()
        for name, value in {**losses, "variance": model.target_variance}.items():
            curves.setdefault(name, []).append(float(value.detach()))
    for name in ("mlm", "itm", "mfr"):
        assert curves[name][-1] < most * curves[name][0], (name, curves[name][0], curves[name][-1])
    assert curves["variance"][-1] > 0.5 * curves["variance"][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (100, 96)}, "multiples of 32"),
        ({"width": 30}, "not a multiple of n_heads"),
        ({"text_length": 600}, "exceeds max_text_positions"),
        ({"parser": "swin_t", "parser_width": 100}, "not a multiple of 3 heads"),
        ({"parser": "swin_x"}, "swin_t"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(VisualParsingConfig, changes, source="model")


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({"preset": "tiny"}, (4, 6)),
        ({"preset": "tiny", "image_size": (64, 96)}, (2, 3)),
        ({}, (7, 7)),
        ({"image_size": (384, 384)}, (7, 7)),
    ],
    ids=str,
)
def test_our_own_parser_attends_over_its_whole_last_map_and_torchvisions_over_7x7(
    changes: dict[str, Any], window: tuple[int, int]
) -> None:
    assert parse_config(VisualParsingConfig, changes, source="model").parser_window == window

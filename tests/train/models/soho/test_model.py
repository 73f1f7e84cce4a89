"""SOHO: what lies outside a picture, whom it asks for cells, losses that fall and a seed that decides."""

import pytest
import torch
from torch import Tensor

from manifests.errors import UserError
from tests.train.models.small_soho import small_batch, small_config
from train.models.soho import ImageBatch, MvmDraw, build_soho, soho_losses

FALLS = [(10, 1.0), pytest.param(60, 0.5, marks=pytest.mark.long)]
"""Steps, and what is left of each loss then, at most."""


def test_what_lies_outside_a_picture_changes_nothing() -> None:
    model = build_soho(small_config(), seed=0).eval()
    batch = small_batch()
    assert isinstance(batch.images, Tensor)
    noisy = batch.images.clone()
    noisy[1::2, :, :, 60:] = 255.0
    changed = ImageBatch(noisy, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    plain = ImageBatch(batch.images, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    with torch.no_grad():
        assert torch.equal(model(plain).itm_logits, model(changed).itm_logits)


def test_sentences_of_other_pictures_are_not_asked_for_cells() -> None:
    model = build_soho(small_config(), seed=0)
    batch = small_batch()
    with torch.no_grad():
        labels = model(batch, mvm_draw=MvmDraw(0, torch.ones(4))).mvm_labels
    asked = (labels != -100).any(1)
    assert asked.tolist() == [False, True, False, True]


def test_evaluation_masks_nothing_by_itself() -> None:
    model = build_soho(small_config(), seed=0).eval()
    batch = small_batch()
    plain = ImageBatch(batch.images, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    with torch.no_grad():
        output = model(plain)
    assert (output.mvm_labels == -100).all()
    assert output.mlm_logits is None
    assert output.mvm_logits.shape == (0, 24)


def test_padding_is_not_counted() -> None:
    model = build_soho(small_config(), seed=0)
    model(small_batch())
    n_cells = [2 * 3, 2 * 2] * 2  # 60 of 96 columns: two of three cells
    assert float(model.neck.vq.collected_counts.sum()) == sum(n_cells)


def test_compat_refuses_a_second_pass_of_a_step_by_name() -> None:
    model = build_soho(small_config(compat=True), seed=0)
    model(small_batch())
    with pytest.raises(UserError, match="micro_batch"):
        model(small_batch())
    model.after_step()
    model(small_batch())


@pytest.mark.parametrize(("n_steps", "most"), FALLS)
def test_the_three_losses_fall_on_one_batch(n_steps: int, most: float) -> None:
    torch.manual_seed(0)
    model = build_soho(small_config(), seed=0)
    batch = small_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    curves: dict[str, list[float]] = {}
    for _ in range(n_steps):
        losses = soho_losses(model(batch), batch, on_negatives=False)
        torch.autograd.backward(losses["total"])
        optimizer.step()
        optimizer.zero_grad()
        model.after_step()
        for name, value in losses.items():
            curves.setdefault(name, []).append(float(value.detach()))
    for name in ("mlm", "mvm", "itm"):
        assert curves[name][-1] < most * curves[name][0], (name, curves[name][0], curves[name][-1])

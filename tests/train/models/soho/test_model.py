"""SOHO: what lies outside a picture, whom it asks for cells, losses that fall and a seed that decides."""

import pytest
import torch
from torch import Tensor

from manifests.errors import UserError
from tests.train.models.small_soho import small_batch, small_config
from train.models.soho import ImageBatch, MvmDraw, Soho, build_soho, soho_losses


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


@pytest.mark.parametrize("recompute", [False, True])
def test_micro_batches_give_the_whole_batchs_gradients_and_dictionary(recompute: bool) -> None:
    batch = small_batch(8, s=2)
    whole, split = (build_soho(small_config(gradient_checkpointing=recompute), seed=1).double() for _ in range(2))
    torch.autograd.backward(itm_sum(whole, batch))
    for part in batch.split(2):
        torch.autograd.backward(itm_sum(split, part))
    for (name, a), (_, b) in zip(whole.named_parameters(), split.named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None, name
        assert torch.allclose(a.grad, b.grad, atol=1e-9), name
    whole.after_step()
    split.after_step()
    assert torch.allclose(whole.neck.vq.embed, split.neck.vq.embed, atol=1e-9)
    assert torch.allclose(whole.neck.vq.cluster_size, split.neck.vq.cluster_size)


def itm_sum(model: Soho, batch: ImageBatch) -> Tensor:
    """A loss that is a sum over rows, through every output."""
    output = model(batch)
    assert output.mlm_logits is not None
    return output.itm_logits.square().sum() + output.mlm_logits.square().sum() + output.mvm_logits.sum()


def test_compat_refuses_a_second_pass_of_a_step_by_name() -> None:
    model = build_soho(small_config(compat=True), seed=0)
    model(small_batch())
    with pytest.raises(UserError, match="micro_batch"):
        model(small_batch())
    model.after_step()
    model(small_batch())


def test_the_three_losses_fall_on_one_batch() -> None:
    torch.manual_seed(0)
    model = build_soho(small_config(), seed=0)
    batch = small_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    curves: dict[str, list[float]] = {}
    for _ in range(60):
        losses = soho_losses(model(batch), batch, on_negatives=False)
        torch.autograd.backward(losses["total"])
        optimizer.step()
        optimizer.zero_grad()
        model.after_step()
        for name, value in losses.items():
            curves.setdefault(name, []).append(float(value.detach()))
    for name in ("mlm", "mvm", "itm"):
        assert curves[name][-1] < 0.5 * curves[name][0], (name, curves[name][0], curves[name][-1])


def test_the_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(5)
    first = build_soho(small_config(), seed=3).state_dict()
    torch.manual_seed(6)
    second = build_soho(small_config(), seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)

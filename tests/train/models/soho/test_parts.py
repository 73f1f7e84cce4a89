"""SOHO's parts: pictures on a canvas, settings, first weights, the neck's positions, norms of its trunk."""

from typing import Any

import pytest
import torch

from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from tests.train.models.small_soho import small_config
from train.models.resnet import FrozenBatchNorm, GroupNorm
from train.models.soho import ImageBatch, MvmDraw, SohoConfig, build_soho
from train.models.soho.batch import on_canvas
from train.models.soho.kind import TRUNK, _imagenet
from train.models.soho.neck import draw_from, mvm_labels, valid_cells
from train.models.soho.norms import BatchNorm, ConvNorm, norm_of

MEAN, STD = torch.zeros(3), torch.ones(3)


def test_true_mask_covers_the_picture_and_the_published_one_a_square() -> None:
    tall = on_canvas(ImageBatch([torch.zeros(3, 1000, 600)]), MEAN, STD)
    wide = on_canvas(ImageBatch([torch.zeros(3, 600, 800), torch.zeros(3, 600, 1000)]), MEAN, STD)
    assert tall.pixels.shape[-2:] == (1024, 608)
    assert valid_cells(tall, (16, 9), square=False).all()
    square = valid_cells(tall, (16, 9), square=True)[0]
    assert square[0].tolist() == [True] * 6 + [False] * 3
    true = valid_cells(wide, (9, 16), square=False)[0, 0]
    assert true.tolist() == [True] * 13 + [False] * 3  # 800 of 1024 columns
    assert valid_cells(wide, (9, 16), square=True)[0, 0].all()


def test_a_list_of_pictures_and_a_padded_batch_are_the_same() -> None:
    pictures = [torch.rand(3, 64, 96) * 255, torch.rand(3, 50, 70) * 255]
    padded = torch.zeros(2, 3, 64, 96)
    for place, picture in zip(padded, pictures, strict=True):
        place[:, : picture.shape[1], : picture.shape[2]] = picture
    listed = on_canvas(ImageBatch(pictures), MEAN + 100, STD * 50)
    batched = on_canvas(ImageBatch(padded, [[64, 96], [50, 70]]), MEAN + 100, STD * 50)
    assert torch.equal(listed.pixels, batched.pixels)
    assert listed.padded_hw.tolist() == batched.padded_hw.tolist() == [[64, 96], [64, 96]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (100, 96)}, "multiples of 32"),
        ({"width": 30}, "not a multiple of n_heads"),
        ({"text_length": 600}, "exceeds max_text_positions"),
        ({"widht": 5}, "did you mean width"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(SohoConfig, changes, source="model")


def test_compat_has_the_published_codes_numbers_and_comes_back_as_written() -> None:
    compat = SohoConfig(compat=True)
    assert (compat.mvm_scale, compat.dictionary_decay, compat.dictionary_floor) == (1.0, 0.4, 0.0)
    assert SohoConfig.model_validate(compat.model_dump(mode="json")) == compat


def test_linear_and_embedding_weights_have_the_deviation_that_is_set() -> None:
    model = build_soho(small_config(init_std=0.05), seed=1)
    linear = torch.cat([m.weight.detach().flatten() for m in model.modules() if isinstance(m, torch.nn.Linear)])
    assert float(linear.std()) == pytest.approx(0.05, rel=0.1)
    biases = [m.bias for m in model.modules() if isinstance(m, torch.nn.Linear) and m.bias is not None]
    assert biases and not any(bool(bias.any()) for bias in biases)


def test_depths_without_a_resnet_are_named_with_the_cure() -> None:
    assert TRUNK.prefix == "backbone."
    with pytest.raises(UserError, match="no ResNet of depths"):
        _imagenet(small_config(trunk_depths=(1, 1, 1, 1)))


def test_all_cells_of_the_drawn_word_are_masked_in_chosen_rows_alone() -> None:
    indices = torch.tensor([[3, 7, 3, 3], [3, 7, 3, 3]])
    mask = torch.tensor([[True, True, True, False]] * 2)
    labels = mvm_labels(indices, mask, MvmDraw(0, torch.tensor([1, 0])))
    assert labels.tolist() == [[3, -100, 3, -100], [-100] * 4]
    assert (mvm_labels(indices, mask, MvmDraw(3, torch.tensor([1, 1]))) == -100).all()  # the place is padding


def test_every_valid_cell_can_be_drawn_and_no_other() -> None:
    mask = torch.tensor([[True, False, True, False, True]]).expand(300, 5)
    draws = torch.rand(300, 2, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    draw = draw_from(draws, mask)
    assert torch.unique(torch.as_tensor(draw.location)).tolist() == [0, 2, 4]
    assert torch.equal(draw.chosen, draws[:, 1] > 0)


def test_in_one_process_it_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm(4), torch.nn.BatchNorm2d(4)
    x = torch.randn(3, 4, 5, 6)
    for _ in range(3):
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(
    ("name", "kind"), [("batch", BatchNorm), ("group", GroupNorm), ("frozen_batch", FrozenBatchNorm)]
)
def test_the_setting_names_the_layer_and_keys_are_the_published_ones(name: str, kind: type) -> None:
    layer = ConvNorm(8, 4, name)
    assert type(norm_of(name, 4)) is kind and type(layer.bn) is kind
    assert {key.partition(".")[0] for key in layer.state_dict()} == {"conv", "bn"}
    assert layer(torch.zeros(1, 8, 2, 2)).shape == (1, 4, 2, 2)

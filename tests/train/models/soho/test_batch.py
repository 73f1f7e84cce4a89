"""Pictures on a canvas: a list and a padded batch are the same, and masks fit the pictures."""

import torch

from train.models.soho import ImageBatch
from train.models.soho.batch import on_canvas
from train.models.soho.neck import valid_cells

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

"""Frames that cannot go through the encoder together are named with what is wrong."""

import pytest
import torch

from train.models.hybrid import check_frames


def middle(b: int = 1, s: int = 1, size: tuple[int, int] = (64, 128)) -> torch.Tensor:
    return torch.zeros(b, s, 3, *size)


def other(b: int = 1, s: int = 1, size: tuple[int, int] = (16, 32)) -> torch.Tensor:
    return torch.zeros(b, s, 2, 3, *size)


@pytest.mark.parametrize(("high", "low"), [(middle(), other()), (middle(), None), (None, other(size=(32, 48)))])
def test_frames_of_the_expected_shapes_are_accepted(high: torch.Tensor | None, low: torch.Tensor | None) -> None:
    check_frames(high, low)


@pytest.mark.parametrize(
    ("high", "low", "words"),
    [
        (None, None, "no frames"),
        (torch.zeros(1, 3, 64, 64), None, "img_middle must be"),
        (None, torch.zeros(1, 1, 3, 16, 16), "img_other must be"),
        (middle(size=(64, 100)), None, "multiples of 64"),
        (None, other(size=(16, 24)), "multiples of 16"),
        (middle(s=2), other(), "segments"),
        (middle(size=(64, 64)), other(), "four times"),
    ],
)
def test_frames_of_other_shapes_are_refused_by_name(
    high: torch.Tensor | None, low: torch.Tensor | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        check_frames(high, low)

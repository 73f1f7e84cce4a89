"""BERT's layers: masked words take no part, and a sentence of none is zeros."""

import torch

from train.models.bert import Encoder


def test_what_is_masked_changes_nothing_for_the_others() -> None:
    torch.manual_seed(0)
    encoder = Encoder(3, 16, 2, 0.0, checkpointed=False).eval()
    x, mask = torch.randn(2, 6, 16), torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    other = x.clone()
    other[0, 4:] = 99.0

    with torch.no_grad():
        first, second = encoder(x, mask, slice(0, 3)), encoder(other, mask, slice(0, 3))
        in_two = encoder(encoder(x, mask, slice(0, 1)), mask, slice(1, 3))
    assert torch.equal(first[0, :4], second[0, :4]) and torch.equal(first[1], second[1])
    assert torch.equal(first, in_two), "slices of the layers are the layers"

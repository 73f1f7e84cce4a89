"""HD-VILA's batch: what is left out is None, also in a part of it."""

import pytest
import torch

from train.models.batch import Batch


def test_what_a_view_leaves_out_is_none_in_every_part() -> None:
    batch = Batch(None, torch.zeros(3, 1, 2, 3, 16, 32), torch.ones(3, 8, dtype=torch.int64), torch.ones(3, 8))

    for part in (batch, batch[1:], *batch.split(1)):
        assert isinstance(part, Batch) and part.img_middle is None and part.mlm_labels is None
        assert part.img_other is not None
    with pytest.raises(AttributeError, match="input_ids"):
        _ = batch.no_such_tensor

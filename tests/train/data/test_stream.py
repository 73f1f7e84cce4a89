"""Streaming: full steps of real clips, and ranks that read different shards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.train.data.loaders import a_loader
from train.data.stream import StreamingLoader


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_gives_full_steps_of_real_clips(index, workers):
    loaded = list(a_loader(index, workers=workers, kind=StreamingLoader).steps(0, 5))

    assert [len(s.keys) for s in loaded] == [4] * 5
    assert {k for s in loaded for k in s.keys} <= {index.key(i) for i in range(11)}
    assert all(s.img_other.shape == (4, 1, 2, 3, 16, 32) and s.img_other.dtype == torch.uint8 for s in loaded)
    assert len({k for s in loaded for k in s.keys}) > 6


def test_streaming_ranks_read_different_shards(index):
    first, second = (next(a_loader(index, r, 2, kind=StreamingLoader, batch=4).steps(0, 1)) for r in (0, 1))

    assert not set(first.keys) & set(second.keys)
    assert np.isfinite(first.img_middle.float().mean())

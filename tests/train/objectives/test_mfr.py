"""Masked frames: the shares of ranks average to the mean over rows."""

from types import SimpleNamespace

import pytest
import torch

from train.objectives import mfr


def test_the_shares_of_ranks_with_masked_frames_average_to_the_mean_over_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three ranks with unlike numbers of rows that were asked for."""
    errors = [torch.tensor([3.0, 0.0]), torch.tensor([1.0, 5.0]), torch.tensor([0.0, 0.0])]
    monkeypatch.setattr(mfr, "world_size", lambda: len(errors))
    monkeypatch.setattr(mfr, "mean_over_ranks", lambda share: share)
    shares = [float(mfr.loss(SimpleNamespace(mfr_error=e), None, torch.tensor(3), None)) for e in errors]
    assert sum(shares) / len(shares) == pytest.approx((3 + 1 + 5) / 3)

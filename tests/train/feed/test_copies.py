"""Batches arrive on a device whole, and on a GPU beside what it computes."""

from __future__ import annotations

import pytest
import torch

from train.feed.copies import Copies
from train.rows import Rows


def test_on_a_cpu_rows_stay_what_they_are() -> None:
    rows = Rows(input_ids=torch.arange(6).view(2, 3))

    there = Copies(torch.device("cpu")).to_device(rows)

    assert there.input_ids.data_ptr() == rows.input_ids.data_ptr()


@pytest.mark.gpu
def test_a_gpu_gets_every_batch_whole_while_it_computes() -> None:
    device = torch.device("cuda")
    copies, work = Copies(device), torch.randn(4096, 4096, device=device)
    batches = [Rows(x=torch.full((1 << 20,), float(n))).pin_memory() for n in range(20)]
    sums = []
    for rows in batches:
        there = copies.to_device(rows)
        work = work @ work / 100
        sums.append(there.x.sum() / len(there))
        del there

    assert torch.stack(sums).tolist() == [float(n) for n in range(20)]

"""The simulation runs the real loop over imagined workers: every video is made once, and what helps is seen to help."""

from pathlib import Path

import numpy as np
import pytest

from bench.simulate import Result, lengths_s, simulate

SMALL = {"batch_videos": 24, "batch_candidates": 96}


def run(folder: Path, *, longest_first: bool = True, lost: float = 0.01, **settings: int) -> Result:
    return simulate(10, 240, folder, {**SMALL, **settings}, longest_first=longest_first, lost=lost, charge=0.0, seed=1)


def test_batches_side_by_side_keep_workers_busier_than_batches_in_turn(tmp_path: Path) -> None:
    batches = run(tmp_path / "batches", batches_under_way=8)
    in_turn = run(tmp_path / "in turn", batches_under_way=1, longest_first=False)

    assert batches.n_batches == in_turn.n_batches == 10
    assert batches.busy > 1.3 * in_turn.busy
    assert batches.hours < in_turn.hours
    assert 0 < batches.lost < 0.05


def test_nothing_is_lost_where_no_worker_is(tmp_path: Path) -> None:
    found = run(tmp_path, batches_under_way=4, lost=0.0)

    assert found.lost == 0.0
    assert 0.2 < found.busy <= 1.0


def test_lengths_have_the_mean_that_was_published_and_end_at_the_limit() -> None:
    found = lengths_s(50_000, np.random.default_rng(0), 7200.0)

    assert found.mean() == pytest.approx(3600 * 0.1126 * 1.25, rel=0.05)
    assert found.max() == 7200.0 and found.min() >= 30.0

"""Batches: captions compared as people read them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from train.data.workers import Workers
from train.feed.batches import Copies, ahead, caption_ids
from train.rows import Rows


def test_captions_are_compared_without_case_and_spacing() -> None:
    texts = ["A red  car", "a red car", "a red cat"]
    same, also, other = caption_ids(texts)
    assert same == also != other


def test_on_a_cpu_rows_stay_what_they_are() -> None:
    rows = Rows(input_ids=torch.arange(6).view(2, 3))

    there = Copies(torch.device("cpu")).to_device(rows)

    assert there.input_ids.data_ptr() == rows.input_ids.data_ptr()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
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


def counting(made: list[int], stop: int = 1000) -> Iterator[int]:
    for number in range(stop):
        made.append(number)
        yield number


def test_what_is_made_ahead_comes_in_order() -> None:
    assert list(ahead(counting([], 50))) == list(range(50))


def test_the_next_one_is_made_while_this_one_is_used() -> None:
    made: list[int] = []
    things = ahead(counting(made))
    next(things)
    deadline = time.monotonic() + 300
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert made == [0, 1], "one in hand, one waiting, and no more"


def test_an_error_comes_where_its_thing_would_have() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    things = ahead(failing())
    assert next(things) == 1
    with pytest.raises(KeyError, match="two"):
        next(things)


def test_a_caller_that_stops_early_leaves_no_thread() -> None:
    things = ahead(counting([]))
    next(things)
    things.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 300
    while any(t.name.startswith("ahead") for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]


@pytest.mark.parametrize(("workers", "chunk", "n_rows", "wanted"), [(1, 4, 32, 16), (14, 4, 8, 1), (2, 8, 64, 8)])
def test_prefetching_counts_steps(workers: int, chunk: int, n_rows: int, wanted: int) -> None:
    assert Workers(workers, chunk, prefetch=2).chunks_ahead(n_rows) == wanted

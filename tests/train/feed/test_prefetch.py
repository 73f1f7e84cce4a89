"""What is made ahead comes in order, with its errors, and stops when nobody wants it."""

import threading
import time
from collections.abc import Iterator

import pytest

from train.data.workers import Workers
from train.feed.prefetch import ahead


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
    deadline = time.monotonic() + 20
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
    deadline = time.monotonic() + 20
    while any(t.name.startswith("ahead") for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]


@pytest.mark.parametrize(("workers", "chunk", "n_rows", "wanted"), [(1, 4, 32, 16), (14, 4, 8, 1), (2, 8, 64, 8)])
def test_prefetching_counts_steps(workers: int, chunk: int, n_rows: int, wanted: int) -> None:
    assert Workers(workers, chunk, prefetch=2).chunks_ahead(n_rows) == wanted

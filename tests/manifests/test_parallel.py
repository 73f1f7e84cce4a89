"""Results come in the order of the items, made side by side, with no more of them in memory than is allowed."""

import threading
import time

import pytest

from manifests import parallel as module
from manifests.parallel import ahead, side_by_side


def test_results_come_in_order_and_are_made_side_by_side() -> None:
    began = time.monotonic()

    def work(item: int) -> int:
        time.sleep(0.05 if item % 2 else 0.1)
        return item * 2

    assert list(ahead(work, range(16), lambda item: 1)) == [(item, item * 2) for item in range(16)]
    assert time.monotonic() - began < 0.8, "one after the other they take 1.2 s"
    assert list(ahead(work, [], lambda item: 1)) == []


def test_no_more_is_under_way_than_may_be_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    made: list[int] = []
    most = 0
    for n_taken, _ in ahead(made.append, list(range(12)), lambda item: 99 if item == 5 else 4):
        time.sleep(0.02)
        most = max(most, len(made) - n_taken)
    assert sorted(made) == list(range(12)), "one that is larger than allowed comes alone"
    assert most == 2


def test_an_error_comes_where_its_item_would_have_and_nothing_goes_on_after_it() -> None:
    begun: list[int] = []
    stop = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise FileNotFoundError(str(item))
        stop.wait(0.05)
        return item

    got = []
    with pytest.raises(FileNotFoundError, match="1"):
        for item, _ in ahead(work, list(range(200)), lambda item: 1):
            got.append(item)
    assert got == [0] and len(begun) < 60


def test_results_come_in_order_and_one_item_needs_no_thread() -> None:
    def work(item: int) -> tuple[int, str]:
        return -item, threading.current_thread().name

    here = threading.current_thread().name
    assert [negative for negative, _ in side_by_side(work, range(50))] == [-item for item in range(50)]
    assert side_by_side(work, [7]) == [(-7, here)] and side_by_side(work, ()) == []

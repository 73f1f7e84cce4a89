"""Work on some items ahead of whoever takes the results in turn: requests that do not depend on one another are made
side by side, and no more is in memory than a limit allows.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

READERS = 16
"""Requests made at a time, each for one object."""
MOST_BYTES = 64 * 1024**2
"""Bytes of results that may be there or under way at a time; a single result always may."""


def side_by_side(work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """What `work` makes of each item, in their order, with READERS of them under way at a time. For one item or none no
    thread begins: most looks have no more.
    """
    all_ = list(items)
    if len(all_) < 2:
        return [work(item) for item in all_]
    with ThreadPoolExecutor(min(READERS, len(all_)), thread_name_prefix="beside") as readers:
        return list(readers.map(work, all_))


def ahead(
    work: Callable[[Item], Made], items: Sequence[Item], bytes_of: Callable[[Item], int]
) -> Iterator[tuple[Item, Made]]:
    """Yields (item, what `work` makes of it) in the order of the items, with READERS of them under way at a time.

    `bytes_of`: the most that an item's result takes in memory. An error is raised where its item would have come.
    """
    if len(items) < 2:
        yield from ((item, work(item)) for item in items)
        return
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="ahead")
    left, under_way = deque(items), deque[tuple[Item, Future[Made]]]()
    n_bytes = 0
    try:
        while left or under_way:
            while left and _fits(len(under_way), n_bytes + bytes_of(left[0])):
                n_bytes += bytes_of(left[0])
                under_way.append((left[0], readers.submit(work, left.popleft())))
            item, made = under_way.popleft()
            yield item, made.result()
            n_bytes -= bytes_of(item)
    finally:
        readers.shutdown(cancel_futures=True)


def _fits(n_under_way: int, n_bytes: int) -> bool:
    return not n_under_way or (n_under_way < READERS and n_bytes <= MOST_BYTES)

"""Prefetches one item: a thread makes the iterator's next item while the caller uses the current one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

T = TypeVar("T")

_END = object()


def ahead(things: Iterator[T]) -> Iterator[T]:
    """Yields the same items in the same order, each made before it is asked for.

    An error is raised at the position of the item that caused it. When the caller stops early, the thread stops too,
    once it has finished its current item.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        coming = pool.submit(next, things, cast(T, _END))
        while (thing := coming.result()) is not _END:
            coming = pool.submit(next, things, cast(T, _END))
            yield thing
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

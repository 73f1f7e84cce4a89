"""One thing ahead: an iterator whose next thing is made, in a thread of its own, while the last one is being used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

T = TypeVar("T")

_END = object()


def ahead(things: Iterator[T]) -> Iterator[T]:
    """The same things in the same order, each made before it is asked for.

    An error comes out where its thing would have come. When the caller stops early, so does the thread, after the
    thing that it is at.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        coming = pool.submit(next, things, cast(T, _END))
        while (thing := coming.result()) is not _END:
            coming = pool.submit(next, things, cast(T, _END))
            yield thing
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

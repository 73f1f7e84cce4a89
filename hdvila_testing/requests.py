"""Counts a step's requests to its store, in the file system itself: requests, bytes, and how many wait for one another.

On a bucket each API call of the client is one request, including pages of a listing and parts of an upload. On a disk
each call of the file system counts as it would on a bucket: a listing is one request per 1,000 names, of those with the
beginning that is asked for.

Requests of one thread wait for one another. Those of a thread pool count as its busiest thread's, and those that one
call makes at the same time (`cat_ranges`) as their number divided by AT_ONCE. On a disk one thread of a pool may be so
fast that it does the work of all: with `pool_wait_s` each of its requests takes as long as one to a bucket would.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import fsspec.asyn
from fsspec.implementations.local import LocalFileSystem

from manifests.files import Files
from pipeline.engine.store.store import Store

AT_ONCE = 128
"""fsspec's own limit of requests that one call keeps in flight."""
NAMES_A_PAGE = 1000

_caller: ContextVar[tuple[str, int] | None] = ContextVar("caller", default=None)


@dataclass
class Requests:
    """The requests so far."""

    n: int = 0
    n_bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    _by_thread: Counter[str] = field(default_factory=Counter)
    _gets_of_call: Counter[tuple[str, int]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, n_bytes: int = 0, n: int = 1, call: tuple[str, int] | None = None) -> None:
        """Adds `n` requests of the calling thread, or of the call that started them on another thread."""
        with self._lock:
            self.n += n
            self.n_bytes += n_bytes
            self.kinds[kind] += n
            if call is not None and kind == "GetObject":
                self._gets_of_call[call] += n
            else:
                self._by_thread[call[0] if call else threading.current_thread().name] += n

    def n_of(self, thread: str) -> int:
        """Number of requests that a thread made itself."""
        return self._by_thread[thread]

    @property
    def n_sequential(self) -> int:
        """Number of requests that waited for the one before them."""
        by_thread = Counter(self._by_thread)
        for (thread, _), n in self._gets_of_call.items():
            by_thread[thread] += -(-n // AT_ONCE)
        busiest: dict[str, int] = defaultdict(int)
        for thread, n in by_thread.items():
            pool = thread.rpartition("_")[0] if "_" in thread else thread
            busiest[pool] = max(busiest[pool], n)
        return sum(busiest.values())


@contextmanager
def count_requests(pool_wait_s: float = 0.0) -> Iterator[Requests]:
    """Counts all requests of this process to any store for the duration of the block. `pool_wait_s`: see the module."""
    counted = Requests()
    with ExitStack() as stack:
        _count_on_disk(counted, stack, pool_wait_s)
        _count_on_bucket(counted, stack)
        yield counted


def _put(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    """Replaces an attribute until the stack is closed.

    An inherited attribute is deleted from the owner afterwards, so that it is inherited again: if it were set, a later
    change of the parent's would have no effect.
    """
    if name in vars(owner):
        stack.callback(setattr, owner, name, getattr(owner, name))
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, new)


# a bucket


def _count_on_bucket(counted: Requests, stack: ExitStack) -> None:
    from aiobotocore.client import AioBaseClient

    call_api, run_here = AioBaseClient._make_api_call, fsspec.asyn.sync
    numbers = iter(range(1 << 62))

    async def counting_call(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        answer = await call_api(self, operation, arguments)
        body = arguments.get("Body")
        sent = len(body) if isinstance(body, bytes | bytearray) else 0
        received = int(answer.get("ContentLength", 0)) if operation == "GetObject" else 0
        counted.add(operation, sent + received, call=_caller.get())
        return answer

    def counting_sync(loop: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        call = threading.current_thread().name, next(numbers)

        async def named(*a: Any, **k: Any) -> Any:
            _caller.set(call)
            return await func(*a, **k)

        return run_here(loop, named, *args, **kwargs)

    _put(stack, AioBaseClient, "_make_api_call", counting_call)
    _put(stack, fsspec.asyn, "sync", counting_sync)


# a disk

_inside = threading.local()


def _count_on_disk(counted: Requests, stack: ExitStack, pool_wait_s: float) -> None:
    for owner, method in (
        *((LocalFileSystem, name) for name in ("cat_file", "ls", "info", "exists", "rm_file", "cat_ranges", "find")),
        *((LocalFileSystem, name) for name in ("glob", "open", "pipe_file", "put_file", "isfile", "isdir")),
        *((Store, name) for name in ("write", "put", "create", "replace")),
        (Files, "_in_folder"),
    ):
        _put(stack, owner, method, _counting(getattr(owner, method), method, counted, pool_wait_s))


def _counting(inner: Callable[..., Any], name: str, counted: Requests, pool_wait_s: float) -> Callable[..., Any]:
    def outer(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_local = self.is_local if isinstance(self, Store) else True
        if getattr(_inside, "call", False) or not is_local:
            return inner(self, *args, **kwargs)
        _inside.call = True
        try:
            answer = inner(self, *args, **kwargs)
        finally:
            _inside.call = False
        if pool_wait_s and "_" in threading.current_thread().name:
            time.sleep(pool_wait_s)
        if name in ("ls", "find", "glob", "_in_folder"):
            counted.add("ls", n=max(1, -(-len(answer) // NAMES_A_PAGE)))
        elif name == "cat_ranges":
            counted.add(name, sum(len(part) for part in answer if isinstance(part, bytes)), n=len(answer))
        elif name == "open":
            counted.add(name, _size_of(answer))
        else:
            counted.add(name, _bytes_of(answer, args))
        return answer

    return outer


def _bytes_of(answer: Any, args: tuple[Any, ...]) -> int:
    sent = sum(len(a) for a in args if isinstance(a, bytes))
    return sent + (len(answer) if isinstance(answer, bytes) else 0)


def _size_of(file: Any) -> int:
    """A file that is opened counts as read completely."""
    return int(getattr(file, "size", 0) or 0)

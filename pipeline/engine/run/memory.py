"""Memory that is freed goes back to the machine.

A driver reads large tables in pieces, for weeks. Arrow's own pool (mimalloc) keeps most of what a piece took, and
malloc keeps an arena for each thread that reads: a driver that started again with 100,000 videos held 650 MB at its
peak, 245 MB of it in use. With malloc alone and one arena it holds 400 MB, in the same processor time.
"""

import ctypes
import os

ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
"""The variable by which Arrow chooses its pool when it is imported."""
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
"""mallopt(3)'s numbers for the most arenas, and for the bytes from which on a freed block is given back."""
LARGE_BYTES = 256 * 1024


def return_freed_memory() -> None:
    """Lets Arrow use malloc, and malloc a single arena. A pool that the user chose stays.

    To be called before Arrow is imported and before threads start. Processes that this process starts use malloc for
    Arrow too. Only glibc has arenas.
    """
    os.environ.setdefault(ARROW_POOL, "system")
    _mallopt(_M_ARENA_MAX, 1)


def return_large_blocks() -> None:
    """Lets malloc give back every large block at once. To be called in a process that decodes no media: there it costs
    a third of the processor time.

    Left to itself malloc does so only until the first is freed: from then on it keeps blocks of that size, up to 32
    MiB, between others. A planner that had read the tables of 15,000 videos kept 85 MB beyond its program, now 25 MB,
    in the same processor time.
    """
    _mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


def return_free_pages() -> None:
    """Gives back the pages between blocks in use that are free: of what was read and let go of piece by piece."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _mallopt(number: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(number, value)

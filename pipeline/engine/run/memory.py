"""Memory that is freed goes back to the machine.

A driver reads large tables in pieces, for weeks. Arrow's own pool (mimalloc) keeps most of what a piece took, and
malloc keeps an arena for each thread that reads: a driver that started again with 100,000 videos held 650 MB at its
peak, 245 MB of it in use. With malloc alone and one arena it holds 400 MB, in the same processor time (`python -m
bench.scale --steps restart`).
"""

import ctypes
import os

ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
"""The variable by which Arrow chooses its pool when it is imported."""
_M_ARENA_MAX = -8
"""mallopt(3)'s number for the most arenas."""


def return_freed_memory() -> None:
    """Lets Arrow use malloc, and malloc a single arena. A pool that the user chose stays.

    To be called before Arrow is imported and before threads start. Processes that this process starts use malloc for
    Arrow too. Only glibc has arenas.
    """
    os.environ.setdefault(ARROW_POOL, "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)

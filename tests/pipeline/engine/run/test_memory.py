"""Memory that is freed goes back to the machine: no pool and no thread keeps it."""

import os
import subprocess
import sys

import pytest

from pipeline.engine.run.memory import ARROW_POOL
from tests.conftest import REPO

COUNT_ARENAS = """
import ctypes, tempfile, threading
from pipeline.engine.run.memory import return_freed_memory
{call}
def allocate():
    [bytes(5_000) for _ in range(1_000)]
    together.wait()
together = threading.Barrier(4)
threads = [threading.Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
path = tempfile.mktemp()
file = ctypes.c_void_p(libc.fopen(path.encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(open(path).read().count("<heap nr="))
"""

HOLD_AFTER_BLOCKS = """
import re
from pipeline.engine.run.memory import return_large_blocks
{call}
def held_kb():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])
bytearray(4_000_000)  # from here on malloc would keep blocks of that size
before, between = held_kb(), []
for _ in range(40):
    between.append((bytearray(1_000_000), [bytes(600) for _ in range(40)]))
between = [small for _, small in between]
print(held_kb() - before)
"""

HOLD_BETWEEN_BLOCKS = """
import re
from pipeline.engine.run.memory import return_free_pages
def held_kb():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])
before, blocks = held_kb(), [bytes(10_000) for _ in range(4_000)]
blocks = blocks[::100]  # each holds a page, and all that lies before it
{call}
print(held_kb() - before)
"""


def _printed(code: str, **environment: str) -> str:
    without = {name: value for name, value in os.environ.items() if name != ARROW_POOL}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**without, "PYTHONPATH": str(REPO), **environment},
    )
    return done.stdout.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="arenas are glibc's")
def test_threads_of_a_command_allocate_from_one_arena() -> None:
    assert int(_printed(COUNT_ARENAS.format(call=""))) > 1
    assert int(_printed(COUNT_ARENAS.format(call="return_freed_memory()"))) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is glibc's")
def test_a_process_that_plans_keeps_no_large_block_that_is_freed() -> None:
    assert int(_printed(HOLD_AFTER_BLOCKS.format(call=""))) > 20_000
    assert int(_printed(HOLD_AFTER_BLOCKS.format(call="return_large_blocks()"))) < 10_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_pages_between_blocks_in_use_are_given_back() -> None:
    assert int(_printed(HOLD_BETWEEN_BLOCKS.format(call=""))) > 30_000
    assert int(_printed(HOLD_BETWEEN_BLOCKS.format(call="return_free_pages()"))) < 10_000

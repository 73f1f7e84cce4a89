"""Statements of DuckDB."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import duckdb
import pytest

from pipeline.query.statements import run


def test_one_statement_may_follow_another_before_anybody_looked() -> None:
    with duckdb.connect() as connection:
        run(connection, "CREATE TABLE t (a INTEGER, b VARCHAR)")
        run(connection, "INSERT INTO t VALUES (?, ?), (2, 'y')", 1, "x")
        assert run(connection, "SELECT * FROM t WHERE a IN (SELECT unnest(?)) ORDER BY a", [1, 2]) == [
            (1, "x"),
            (2, "y"),
        ]


@pytest.fixture
def hears() -> Iterator[None]:
    """Tests that run in a shell's background begin with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _press_ctrl_c_once_it_works() -> None:
    begins = time.process_time()
    while time.process_time() - begins < 0.3:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("hears")
def test_ctrl_c_is_ctrl_c() -> None:
    """Also where DuckDB does not hear it, which happens: then once the statement is over, so this one has an end."""
    with duckdb.connect() as connection:
        threading.Thread(target=_press_ctrl_c_once_it_works).start()
        with pytest.raises(KeyboardInterrupt):
            run(connection, "SELECT count(*) FROM range(1000000000) WHERE range % 7 = 3")

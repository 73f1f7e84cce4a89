"""One run at a time over an output directory, and a dead run is no obstacle."""

import json
import logging
import multiprocessing
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import UserError
from manifests.exits import ExitCode
from pipeline.engine.lock import LOCK, LockLost, RunLock
from pipeline.engine.store import Store


def hold_for_ever(url: str) -> None:
    with RunLock(Store(url)):
        time.sleep(600)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def a_holder(store: Store) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=hold_for_ever, args=(store.url,), daemon=True)
    process.start()
    until = time.monotonic() + 30
    while not store.exists(LOCK) and time.monotonic() < until:
        time.sleep(0.05)
    return process


def test_a_live_run_is_respected_and_named(store: Store) -> None:
    holder = a_holder(store)
    try:
        named = rf"in use by {re.escape(socket.gethostname())} pid {holder.pid}, .* last renewed its lock \d+ s ago"
        with pytest.raises(UserError, match=named) as refused, RunLock(store):
            pass
        assert refused.value.exit_code == ExitCode.STOPPED, "nothing to correct in what was asked"
    finally:
        holder.kill()


def test_a_killed_run_is_taken_over_at_once(store: Store) -> None:
    holder = a_holder(store)
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    assert store.exists(LOCK)

    started = time.monotonic()
    with RunLock(store) as lock:
        lock.check()
    assert time.monotonic() - started < 5
    assert not store.exists(LOCK)


def test_another_hosts_silent_lock_is_taken_over_after_a_while(store: Store) -> None:
    store.write(LOCK, json.dumps({"holder": "x", "host": "elsewhere", "pid": 1, "beat": 1}).encode())

    with RunLock(store, stale_s=0.5) as lock:
        lock.check()


def test_a_reused_pid_is_not_taken_for_the_old_run(store: Store) -> None:
    facts = {"holder": "x", "host": socket.gethostname(), "pid": os.getpid(), "process_start": "1"}
    store.write(LOCK, json.dumps(facts).encode())

    with RunLock(store) as lock:
        lock.check()


def test_a_holder_that_was_taken_over_stops_before_its_next_commit(store: Store) -> None:
    with RunLock(store) as lock:
        store.write(LOCK, json.dumps({"holder": "other", "host": "elsewhere", "pid": 7}).encode())
        with pytest.raises(LockLost, match="elsewhere pid 7"):
            lock.check()
    assert store.exists(LOCK), "the other's lock stays"


def test_the_holder_renews_its_lock_and_never_writes_over_anothers(store: Store) -> None:
    others = json.dumps({"holder": "other", "host": "elsewhere", "pid": 7}).encode()
    with RunLock(store, renew_s=0.05):
        first = store.read(LOCK)
        wait_until(lambda: store.read(LOCK) != first)  # it is renewed
        wait_until(lambda: store.replace(LOCK, others, seen=store.read(LOCK)))  # as one that takes over does
        time.sleep(0.5)  # ten renewals long
        assert store.read(LOCK) == others
    assert store.read(LOCK) == others


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_another_hosts_live_run_is_named_at_once_and_respected_at_its_first_renewal(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def beat(n: int) -> bytes:
        return json.dumps({"holder": "x", "host": "elsewhere", "pid": 7, "beat": n}).encode()

    store.write(LOCK, beat(1))
    renewer = threading.Timer(1.0, store.write, (LOCK, beat(2)))
    renewer.start()
    started = time.monotonic()

    with (
        caplog.at_level(logging.WARNING, "hdvila"),
        pytest.raises(UserError, match="in use by elsewhere pid 7"),
        RunLock(store, stale_s=20),
    ):
        pass

    assert time.monotonic() - started < 15
    assert "locked by elsewhere pid 7" in caplog.text


def test_of_two_that_take_over_at_once_one_holds(store: Store) -> None:
    dead = json.dumps({"holder": "x", "host": "elsewhere", "pid": 1, "beat": 1}).encode()
    store.write(LOCK, dead)

    taken = [store.replace(LOCK, name, seen=dead) for name in (b"first", b"second")]

    assert taken == [True, False] and store.read(LOCK) == b"first"


def test_one_of_many_processes_replaces_and_nothing_is_left_beside(store: Store) -> None:
    store.write(LOCK, b"first")
    with multiprocessing.get_context("fork").Pool(8) as pool:
        won = pool.starmap(replace_first, [(store.url, str(i)) for i in range(64)])

    assert won.count(True) == 1
    assert [path.name for path in Path(store.root).iterdir()] == [LOCK]


def replace_first(url: str, name: str) -> bool:
    return Store(url).replace(LOCK, name.encode(), seen=b"first")

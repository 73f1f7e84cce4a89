"""One run at a time over an output directory, and a dead run is no obstacle."""

import json
import logging
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from manifests import lock as lock_module
from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.lock import LOCK, LockHeld, LockLost, RunLock
from pipeline.engine.store.store import Store


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


def test_a_dead_pid_of_another_container_with_this_host_s_name_says_nothing(store: Store) -> None:
    facts = {"holder": "x", "host": socket.gethostname(), "pid": 2**22 + 1, "processes": "another boot or container"}
    store.write(LOCK, json.dumps(facts).encode())
    started = time.monotonic()

    with RunLock(store, stale_s=1.0) as lock:
        lock.check()

    assert time.monotonic() - started >= 1.0


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


def test_one_of_many_processes_replaces_and_nothing_is_left_beside(store: Store) -> None:
    store.write(LOCK, b"first")
    with ProcessPoolExecutor(4, multiprocessing.get_context("forkserver")) as pool:  # threads of others are not copied
        won = list(pool.map(replace_first, [store.url] * 64, map(str, range(64))))

    assert won.count(True) == 1
    assert [path.name for path in Path(store.root).iterdir()] == [LOCK]


def replace_first(url: str, name: str) -> bool:
    return Store(url).replace(LOCK, name.encode(), seen=b"first")


class Told:
    """A clock that sleeping sets on, and what was slept."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return 50_000_000_000

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("beat", "age"), [(20_000_000_000, "30 s ago"), (90_000_000_000, "0 s ago"), ("soon", "at an unknown time")]
)
def test_who_holds_the_lock_is_named_with_the_time_since_its_last_renewal(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, beat: object, age: str
) -> None:
    monkeypatch.setattr(lock_module, "time", Told())
    store.write(LOCK, json.dumps({"holder": "x", "host": "elsewhere", "pid": 7, "beat": beat}).encode())

    with caplog.at_level(logging.WARNING, "hdvila"), RunLock(store):
        pass

    assert f"locked by elsewhere pid 7; last renewed {age}" in caplog.text
    assert "Waiting up to 60 s" in caplog.text


@pytest.mark.parametrize("damaged", [b"", b"[1]", b"{", b'{"pid": 0}', b"[" * 100_000])
def test_a_damaged_lock_is_one_of_an_unknown_run_and_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damaged: bytes
) -> None:
    monkeypatch.setattr(lock_module, "time", Told())
    store.write(LOCK, damaged or b" ")

    with caplog.at_level(logging.WARNING, "hdvila"), RunLock(store) as lock:
        lock.check()
        store.write(LOCK, damaged)
        with pytest.raises(LockLost, match="another run pid"):
            lock.check()

    assert "locked by another run pid" in caplog.text


def is_respected(store: Store, pid: int, process_start: str) -> bool:
    """Whether a run waits for this process of this host, rather than take the lock over."""
    facts = {"holder": "x", "host": socket.gethostname(), "pid": pid, "process_start": process_start}
    store.write(LOCK, json.dumps(facts).encode())
    try:
        with RunLock(store):
            return False
    except LockHeld:
        return True


def start_of(pid: int) -> str:
    """Field 22 of proc(5); the third stands first here."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[22 - 3]


def test_whether_a_process_is_that_of_the_lock(store: Store) -> None:
    own = start_of(os.getpid())
    with RunLock(store):
        assert json.loads(store.read(LOCK))["process_start"] == own
    assert is_respected(store, os.getpid(), own) and is_respected(store, os.getpid(), "")
    assert not is_respected(store, os.getpid(), own + "1") and is_respected(store, 1, "")

    ended = subprocess.Popen(["true"])
    while "State:\tZ" not in Path(f"/proc/{ended.pid}/status").read_text():
        time.sleep(0.01)
    assert not is_respected(store, ended.pid, start_of(ended.pid)), "a zombie works no more"
    ended.wait()
    assert not any(is_respected(store, pid, "") for pid in (ended.pid, 0, -1))


def test_a_process_of_another_user_is_alive(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, number: int) -> None:
        assert number == 0
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert is_respected(store, 4242, "")


def test_a_renewal_that_fails_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replace, failing = Store.replace, [OSError(13, "refused for now")] * 2

    def refused(self: Store, *args: object, **more: object) -> bool:
        if failing:
            raise failing.pop()
        return replace(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "replace", refused)
    with caplog.at_level(logging.WARNING, "hdvila"), RunLock(store, renew_s=0.05):
        first = store.read(LOCK)
        wait_until(lambda: store.read(LOCK) != first)

    assert caplog.text.count("run.lock was not renewed") == 2

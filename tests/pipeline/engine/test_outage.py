"""The driver outlives a store that fails for a while, whether it refuses, answers 503 or says nothing."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.engine import outage
from pipeline.engine.driver import run_stage
from pipeline.engine.executor import LocalExecutor
from pipeline.engine.lock import RunLock
from pipeline.engine.outage import outlast
from pipeline.engine.store import Store
from pipeline.testing.s3 import BUCKET, S3, s3_server
from tests.pipeline.engine.toys import ToyStage

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


class FaultyDoor:
    """Passes connections on to a server, or, while `fault` is set, does what it says with them."""

    def __init__(self, port: int) -> None:
        self.port, self.fault = port, ""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as server:
            threading.Thread(target=self._pass_back, args=(server, client), daemon=True).start()
            while data := client.recv(1 << 16):
                if self.fault == "503":
                    client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                if self.fault == "silence":
                    time.sleep(2)
                if self.fault:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)

    def _pass_back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)


@pytest.fixture
def door(s3: S3) -> Iterator[FaultyDoor]:
    door = FaultyDoor(s3.port)
    yield door
    door.listener.close()


def store_behind(door: FaultyDoor, prefix: str) -> Store:
    options = {
        "endpoint_url": door.endpoint,
        "key": "x",
        "secret": "x",
        "skip_instance_cache": True,
        "config_kwargs": {"retries": {"max_attempts": 0}, "read_timeout": 1, "connect_timeout": 1},
    }
    return Store(f"s3://{BUCKET}/{prefix}", tuple(options.items()), patience_s=60)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["503", "drop", "silence"])
def test_a_run_goes_on_after_an_outage(
    door: FaultyDoor, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "LONGEST_WAIT_S", 1.0)
    (tmp_path / "marks").mkdir()
    store = store_behind(door, f"outage-{fault}")
    stage = ToyStage(tuple((f"u{i}", "") for i in range(3)), tmp_path / "marks")

    with caplog.at_level(logging.WARNING, "hdvila"), RunLock(store, renew_s=0.5) as lock:
        door.fault = fault
        threading.Timer(6.0, setattr, (door, "fault", "")).start()
        result = run_stage(stage, store, LocalExecutor(tmp_path / "scratch"), lock)
        lock.check()

    assert result.n_missing == 0 and store.committed("toy") == {"u0", "u1", "u2"}
    assert "does not answer" in caplog.text and "answers again" in caplog.text


def test_what_does_not_pass_is_not_waited_for() -> None:
    def refused() -> None:
        raise PermissionError("403")

    started = time.monotonic()
    with pytest.raises(PermissionError):
        outlast(refused, where="s3://b", patience_s=60)
    assert time.monotonic() - started < 1


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_WAIT_S", 0.01)
    calls = []

    def down() -> None:
        calls.append(1)
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        outlast(down, where="s3://b", patience_s=0.1)
    assert len(calls) > 2


def test_a_worker_is_not_patient_in_its_slot() -> None:
    import pickle

    store = Store("s3://b/x", patience_s=60)

    assert pickle.loads(pickle.dumps(store)).patience_s == 0


def test_the_waits_between_tries_grow_and_no_two_drivers_keep_step(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(outage.time, "sleep", waits.append)
    answers = iter([*[ConnectionRefusedError()] * 8, "here"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert outlast(call, where="s3://x", patience_s=600) == "here"
    assert len(waits) == 8
    assert all(0.25 <= wait <= outage.LONGEST_WAIT_S for wait in waits)
    assert waits[-1] > 10 * waits[0]
    assert len(set(waits)) == 8, "each wait is drawn"

"""The driver outlives a store that fails for a while, whether it refuses, answers 503 or says nothing."""

import errno
import logging
import pickle
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from hdvila_testing.s3 import BUCKET, S3, s3_server
from manifests import files, outage
from manifests.errors import is_passing
from manifests.lock import RunLock
from manifests.outage import outlast, stopping_by
from pipeline.config.run_config import EngineConfig
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import per_item
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.unit import Context, Output, Resources, Transient, Unit
from tests.pipeline.engine.toys import ToyStage, listing

PATIENCE_S = EngineConfig().outage_s


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


MiB = 1024**2
TEAR_AT = 2 * MiB


class FaultyDoor:
    """Passes connections on to a server, or, while `fault` is set, does what it says with them.

    `n_to_tear` connections are cut off once TEAR_AT bytes have gone in, and `n_unanswered` that ask to join the parts
    of an upload once that is done.
    """

    def __init__(self, port: int) -> None:
        self.port, self.fault, self.n_to_tear, self.n_unanswered = port, "", 0, 0
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
            n_passed, muted = 0, threading.Event()
            threading.Thread(target=self._pass_back, args=(server, client, muted), daemon=True).start()
            while data := client.recv(1 << 16):
                if self.n_unanswered and data.startswith(b"POST") and b"uploadId=" in data:
                    self.n_unanswered -= 1
                    muted.set()
                if self.fault == "503":
                    client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                if self.fault == "silence":
                    time.sleep(2)
                if self.fault:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)
                n_passed += len(data)
                if self.n_to_tear and n_passed > TEAR_AT:
                    self.n_to_tear -= 1
                    client.shutdown(socket.SHUT_RDWR)
                    return

    def _pass_back(self, server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if muted.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


@pytest.fixture
def door(s3: S3) -> Iterator[FaultyDoor]:
    door = FaultyDoor(s3.port)
    yield door
    door.listener.close()


def store_behind(door: FaultyDoor, prefix: str, timeout_s: float) -> Store:
    options = {
        "endpoint_url": door.endpoint,
        "key": "x",
        "secret": "x",
        "skip_instance_cache": True,
        "config_kwargs": {"retries": {"max_attempts": 0}, "read_timeout": timeout_s, "connect_timeout": timeout_s},
    }
    return Store(f"s3://{BUCKET}/{prefix}", tuple(options.items()), patience_s=60)


def over_once_it_is_told(door: FaultyDoor, caplog: pytest.LogCaptureFixture) -> None:
    """Ends an outage when the run and the thread that renews its lock have met it."""
    until = time.monotonic() + 300
    while "does not answer" not in caplog.text and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.7)
    door.fault = ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["503", *(pytest.param(fault, marks=pytest.mark.long) for fault in ("drop", "silence"))]
)
def test_a_run_goes_on_after_an_outage(
    door: FaultyDoor, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "LONGEST_WAIT_S", 0.3)
    (tmp_path / "marks").mkdir()
    store = store_behind(door, f"outage-{fault}", timeout_s=1 if fault == "silence" else 60)
    stage = ToyStage(tuple((f"u{i}", "") for i in range(3)), tmp_path / "marks")

    with caplog.at_level(logging.WARNING, "hdvila"), RunLock(store, renew_s=0.5) as lock:
        door.fault = fault
        threading.Thread(target=over_once_it_is_told, args=(door, caplog), daemon=True).start()
        result = run_stage(stage, store, LocalExecutor(tmp_path / "scratch"), lock)
        lock.check()

    assert result.n_missing == 0 and store.committed("toy") == {"u0", "u1", "u2"}
    assert "does not answer" in caplog.text and "answers again" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["503", *(pytest.param(fault, marks=pytest.mark.long) for fault in ("drop", "silence"))]
)
def test_a_unit_whose_store_fails_while_it_reads_a_part_is_tried_again(
    door: FaultyDoor, tmp_path: Path, fault: str
) -> None:
    store = store_behind(door, f"part-{fault}", timeout_s=60)
    part = store.write_part("listings", "toy", "u", [listing("u")])
    store.commit("toy", "u", {"rows": {"listings": 1}, "rejects": {}, "parts": {"listings": part}})
    [named] = store.parts("listings")
    there: Store = pickle.loads(pickle.dumps(store_behind(door, f"part-{fault}", timeout_s=0.2)))  # as a worker gets it

    def read() -> None:
        door.fault = fault
        there.read_part(named)

    with pytest.raises(Transient, match=store.url):
        per_item(Context(there, tmp_path, 0.0, 1), "u", read)


@pytest.mark.slow
def test_an_opened_file_is_read_to_its_end_whatever_happens_on_the_way(
    door: FaultyDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "LONGEST_WAIT_S", 0.3)
    store = store_behind(door, "opened", timeout_s=60)
    made = random.Random(1).randbytes(3 * MiB)
    store.write("file", made)
    monkeypatch.setattr(files, "AHEAD_BYTES", MiB)

    with store.open("file") as file:
        assert file.read(MiB) == made[:MiB]
        door.fault = "503"
        threading.Timer(0.5, setattr, (door, "fault", "")).start()
        assert file.read() == made[MiB:]
        assert file.seek(-5, 2) == 3 * MiB - 5 and file.read(9) == made[-5:] and file.read(1) == b""


@dataclass(frozen=True)
class Large:
    """One unit with a file that goes up in parts."""

    name: str = "large"
    resources: Resources = Resources(time_limit_s=300)

    def units(self, store: Store) -> Iterator[Unit]:
        yield Unit("one")

    def process(self, unit: Unit, context: Context) -> Output:
        made = context.scratch / "made"
        made.write_bytes(random.Random(7).randbytes(MiB) * 112)
        return Output(files={"packs/one.tar": made})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_to_tear", "n_unanswered"),
    [
        pytest.param(12, 0, id="torn more often than the library tries again"),
        pytest.param(0, 1, id="joined, and the answer is lost", marks=pytest.mark.long),
    ],
)
def test_an_upload_in_parts_that_comes_apart_is_made_again_whole(
    door: FaultyDoor, tmp_path: Path, n_to_tear: int, n_unanswered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "LONGEST_WAIT_S", 0.3)
    store = store_behind(door, f"torn-{n_to_tear}-{n_unanswered}", timeout_s=60)
    with RunLock(store) as lock:
        door.n_to_tear, door.n_unanswered = n_to_tear, n_unanswered
        run_stage(Large(), store, LocalExecutor(tmp_path / "scratch"), lock)

    assert (door.n_to_tear, door.n_unanswered) == (0, 0)
    assert store.commit_facts("large", "one")["attempt"] == 1, "no fault of the unit"
    assert store.read_rejects().num_rows == 0
    assert store.read("packs/one.tar") == random.Random(7).randbytes(MiB) * 112
    assert store.names("packs") == ["one.tar"]
    assert not store.fs.call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads"), "paid for and never seen"


def test_an_upload_that_is_gone_when_it_is_given_up_is_the_store_s_trouble_and_no_missing_file(s3: S3) -> None:
    """As when the request that joins its parts fails with 500 and was carried out all the same."""
    store = s3.store("gone")
    with pytest.raises(FileNotFoundError) as gone:
        store.fs.call_s3("abort_multipart_upload", Bucket=BUCKET, Key="gone/x", UploadId="none")
    with pytest.raises(FileNotFoundError) as missing:
        store.read("x")

    assert is_passing(gone.value) and not is_passing(missing.value)


def test_what_does_not_pass_is_not_waited_for() -> None:
    def refused() -> None:
        raise PermissionError("403")

    started = time.monotonic()
    with pytest.raises(PermissionError):
        outlast(refused, where="s3://b", patience_s=60)
    assert time.monotonic() - started < 1


def test_a_run_that_is_to_stop_waits_no_longer_than_it_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime()
    monkeypatch.setattr(outage, "time", fake)
    began, ends_by = fake.now, fake.now + 100

    with stopping_by(lambda: ends_by - fake.now), pytest.raises(OSError, match="503"):
        outlast(Away(fake, float("inf")), where="s3://stopped", patience_s=PATIENCE_S)

    assert 60 < fake.now - began < 100
    fake.now = ends_by
    asked: list[str] = []
    with stopping_by(lambda: ends_by - fake.now), pytest.raises(OSError, match="503"):
        outlast(lambda: asked.append("again"), where="s3://stopped", patience_s=PATIENCE_S)
    assert not asked, "one more call could take a minute"
    assert outlast(Away(fake, fake.now + 1000), where="s3://another", patience_s=PATIENCE_S) == "here"


class FakeTime:
    """A clock that sleeping sets on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Away:
    """A call to a store that answers 503 until a time."""

    def __init__(self, time: FakeTime, until: float) -> None:
        self._time, self._until, self.n_calls = time, until, 0

    def __call__(self) -> str:
        self.n_calls += 1
        if self._time.now < self._until:
            raise OSError(errno.EBUSY, "503 Slow Down")
        return "here"


def test_half_an_hour_without_an_answer_is_outlived_and_more_ends_the_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime()
    monkeypatch.setattr(outage, "time", fake)
    half_an_hour = Away(fake, fake.now + 1750)
    assert outlast(half_an_hour, where="s3://half", patience_s=PATIENCE_S) == "here"

    began, longer = fake.now, Away(fake, fake.now + 7200)
    for _ in range(4):  # the call, and then what ends a run: a last commit, the status, the lock
        with pytest.raises(OSError, match="503"):
            outlast(longer, where="s3://half", patience_s=PATIENCE_S)
    assert 1750 < fake.now - began <= 1800, "not half an hour for each"

    fake.now = began + 7200
    assert outlast(longer, where="s3://half", patience_s=PATIENCE_S) == "here"
    assert outlast(Away(fake, fake.now + 1700), where="s3://half", patience_s=PATIENCE_S) == "here"


def test_an_outage_that_no_call_saw_the_end_of_takes_nothing_from_the_patience_of_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeTime()
    monkeypatch.setattr(outage, "time", fake)
    with pytest.raises(OSError, match="503"):
        outlast(Away(fake, float("inf")), where="s3://later", patience_s=1.0)

    fake.now += 3600  # the store is back, and for an hour nothing is asked of it
    assert outlast(Away(fake, fake.now + 1700), where="s3://later", patience_s=PATIENCE_S) == "here"


def test_an_outage_is_told_once_a_minute_and_so_is_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeTime()
    monkeypatch.setattr(outage, "time", fake)
    monkeypatch.setattr(outage.random, "uniform", lambda least, most: most)
    with caplog.at_level(logging.WARNING, "hdvila"):
        assert outlast(lambda: "at once", where="s3://told", patience_s=600) == "at once"
        assert not caplog.records
        outlast(Away(fake, fake.now + 130), where="s3://told", patience_s=600)

    assert [record.getMessage() for record in caplog.records] == [
        "s3://told does not answer ([Errno 16] 503 Slow Down); tried for up to 600 s more",
        "s3://told does not answer ([Errno 16] 503 Slow Down); tried for up to 528 s more",
        "s3://told answers again after 132 s",
    ]

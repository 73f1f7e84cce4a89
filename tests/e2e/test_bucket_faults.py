"""A bucket that refuses, loses answers, cuts bodies short, flips bits, names wrong ETags, lists what was, and does not
find at first what it lists: the bytes of a disk.
"""

import base64
import random
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from hdvila_testing.s3 import BUCKET, S3, s3_server
from manifests import outage
from manifests.errors import DamagedFile
from manifests.lock import LOCK, RunLock
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.report.summary import Delivered
from tests.pipeline.engine.on_ray.test_cluster import until
from tests.pipeline.run.small_runs import bytes_of, films_in, start

pytestmark = pytest.mark.slow

FAULTS = ("503", "lost answer", "cut body", "wrong etag", "stale list", "flipped bit", "late 404")
OF_A_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


class FaultyBucket(ThreadingHTTPServer):
    """Passes requests on to an S3 server; a seeded share of them meets a fault, no two in a row."""

    daemon_threads = True

    def __init__(self, port: int, seed: int, share: float) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.port, self.share, self.random = port, share, random.Random(seed)
        self.met: Counter[str] = Counter()
        self.lists: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}
        self.guard, self.was_faulty = threading.Lock(), False

    def fault_of(self, method: str, path: str) -> str:
        """What happens to a request; "" for nothing."""
        is_list = method == "GET" and "list-type=2" in path
        is_head = method == "HEAD"  # few are
        fits = {
            "503": not is_head,
            "lost answer": not is_head,
            "cut body": method == "GET",
            "wrong etag": is_head,
            "stale list": is_list and path in self.lists,
            "flipped bit": method in ("GET", "PUT") and not is_list,
            "late 404": method in ("GET", "HEAD") and not is_list,
        }
        with self.guard:
            self.was_faulty = not self.was_faulty and self.random.random() < self.share * (1 + 2 * is_head)
            fault = self.random.choice([fault for fault in FAULTS if fits.get(fault, True)]) if self.was_faulty else ""
            self.met[fault] += 1
        return fault

    def flipped(self, data: bytes) -> bytes:
        """The data with one other bit."""
        at = self.random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1 :]


class Passing(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: FaultyBucket

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault_of(self.command, self.path)
        if fault == "503":
            self.answer(503, [], b"")
            return
        if fault == "late 404":
            self.answer(404, [], b"" if self.command == "HEAD" else b"<Error><Code>NoSuchKey</Code></Error>")
            return
        if fault == "flipped bit" and body:
            body, sent = self.server.flipped(body), self.headers.get("x-amz-checksum-crc32")
            if sent and base64.b64decode(sent) != zlib.crc32(body).to_bytes(4, "big"):  # S3 looks, moto does not
                self.answer(400, [], b"<Error><Code>BadDigest</Code></Error>")
                return
        before = self.server.lists.get(self.path)
        if fault == "stale list" and before:
            self.answer(*before)
            return
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers))
        got = connection.getresponse()
        data, headers = got.read(), [(k, v) for k, v in got.getheaders() if k.lower() not in OF_A_HOP]
        length = got.getheader("Content-Length", "0")
        connection.close()
        if "list-type=2" in self.path:
            self.server.lists[self.path] = got.status, headers, data
        if fault == "flipped bit" and self.command == "GET" and got.status < 300 and data:
            data = self.server.flipped(data)
        if fault == "wrong etag":
            headers = [(k, '"0123"' if k.lower() == "etag" else v) for k, v in headers]
        if fault == "lost answer":
            self.close_connection = True
        elif fault == "cut body" and len(data) > 1:
            self.answer(got.status, headers, data[: len(data) // 2], len(data))
            self.close_connection = True
        else:
            self.answer(got.status, headers, data, int(length) if self.command == "HEAD" else -1)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

    def answer(self, status: int, headers: list[tuple[str, str]], data: bytes, length: int = -1) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length < 0 else length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_into_a_faulty_bucket_ends_with_the_bytes_of_a_disk(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(outage, "LONGEST_WAIT_S", 0.5)
    films = tmp_path / "films"
    films.mkdir()
    films_in(films)
    assert start(tmp_path / "disk", films).exit_code == 0

    faulty = FaultyBucket(s3.port, seed, share=0.1)
    threading.Thread(target=faulty.serve_forever, daemon=True).start()
    at_the_door = S3(f"http://127.0.0.1:{faulty.server_address[1]}")
    for name, value in {**at_the_door.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # one that is kept would ask the door of another test
    try:
        delivered = start_again(f"s3://{BUCKET}/{seed}", films)
        assert delivered.exit_code == 0, s3.store(str(seed)).read_rejects().to_pylist()
    finally:
        faulty.shutdown()

    assert all(faulty.met[fault] for fault in FAULTS), faulty.met
    store = s3.store(str(seed))
    disk = bytes_of(tmp_path / "disk")
    assert {name: store.read(name) for name in disk} == {name: (tmp_path / "disk" / name).read_bytes() for name in disk}
    assert list(verify(store, decode=9)) == [] and store.read_rejects().num_rows == 0 and store.sweep_parts() == 0


def start_again(url: str, films: Path) -> Delivered:
    """Starts a run, again where it ended with the name of an object of which a bit flipped in some of its bytes: the
    bucket has a checksum of all of them alone.
    """
    for _ in range(3):
        try:
            return start(url, films)
        except DamagedFile as error:
            print("DAMAGED", error)
            assert f"{url}/" in str(error)
    return start(url, films)


class MeetsTheNext(FaultyBucket):
    """What the next requests of a method for an object meet, in turn; no other request meets anything."""

    coming: Sequence[tuple[str, str]] = ()

    def fault_of(self, method: str, path: str) -> str:
        if not self.coming or method != self.coming[0][0] or "list-type=2" in path:
            return ""
        (_, fault), *self.coming = self.coming
        return fault


@pytest.fixture
def bucket(s3: S3) -> Iterator[MeetsTheNext]:
    bucket = MeetsTheNext(s3.port, seed=0, share=0)
    threading.Thread(target=bucket.serve_forever, daemon=True).start()
    yield bucket
    bucket.shutdown()


def store_in(s3: S3, bucket: MeetsTheNext, prefix: str) -> Store:
    return s3.store(prefix, endpoint=f"http://127.0.0.1:{bucket.server_address[1]}")


def test_what_is_doubted_is_asked_again_for_a_while(
    s3: S3, bucket: MeetsTheNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "DOUBTED_S", (0.0, 0.0, 0.0))
    store, name = store_in(s3, bucket, "doubted"), "batches/00001.json"
    bucket.coming = [("PUT", "flipped bit")]
    replace(store, patience_s=60.0).write(name, b"[1, 2]")

    bucket.coming = [("GET", "late 404"), ("GET", "flipped bit"), ("GET", "late 404")]
    assert store.read(name) == b"[1, 2]" and not bucket.coming
    bucket.coming = [("HEAD", "late 404")]
    assert store.exists(name) and not store.exists("batches/0000") and not bucket.coming
    bucket.coming = [("HEAD", "late 404"), ("GET", "late 404")]
    with store.open(name) as file:
        assert file.read() == b"[1, 2]" and not bucket.coming

    bucket.coming = [("GET", "flipped bit")] * 4
    with pytest.raises(DamagedFile, match=r"bucket/doubted/batches/00001\.json: the store gives other bytes"):
        store.read(name)
    bucket.coming = [("GET", "late 404")] * 4
    with pytest.raises(FileNotFoundError):
        store.read(name)
    assert not bucket.coming


def test_a_conditional_write_whose_answer_is_lost_has_taken_place(s3: S3, bucket: MeetsTheNext) -> None:
    store, lost = store_in(s3, bucket, "lost"), [("PUT", "lost answer")]
    bucket.coming = lost
    assert store.create("file", b"mine") and not bucket.coming
    bucket.coming = lost
    assert store.replace("file", b"mine, renewed", seen=b"mine") and not bucket.coming
    assert not store.create("file", b"another's") and not store.replace("file", b"another's", seen=b"mine")
    bucket.coming = lost
    with RunLock(store, renew_s=0.01) as lock:
        first, bucket.coming = store.read(LOCK), lost
        until(lambda: not bucket.coming and store.read(LOCK) != first)
        lock.check()
    assert s3.store("lost").read("file") == b"mine, renewed"

"""The store on a real S3 server: nothing half is ever visible, listings are never stale, a lock has one holder."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.client import AioBaseClient
from typer.testing import CliRunner

from hdvila_testing.s3 import S3, Door, s3_server
from hdvila_testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select
from manifests.errors import StorageErrorsExplained, UserError
from manifests.lock import LockLost, RunLock
from manifests.reasons import Reason
from manifests.shards import read_manifest
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, attempt_unit
from pipeline.engine.work.unit import Context, Output, Resources, Unit
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.manifest import remove_packs

MiB = 1024**2


@pytest.fixture(scope="module")
def s3():
    with s3_server() as server:
        yield server


@pytest.fixture
def store(s3: S3, request) -> Store:
    return s3.store(re.sub(r"\W+", "-", request.node.name))


# half an upload

_UPLOAD = """
import sys
from pathlib import Path
from pipeline.engine.store.store import Store
endpoint, url, how, path = sys.argv[1:]
store = Store(url, (("endpoint_url", endpoint), ("key", "x"), ("secret", "x")))
if how == "put":
    store.put(Path(path), "shards/train/00000.tar")
else:
    store.write("shards/train/00000.tar", Path(path).read_bytes())
"""


def _start_upload(store: Store, endpoint: str, how: str, file: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", _UPLOAD, endpoint, store.url, how, str(file)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "size", "there_before"),
    [
        pytest.param("put", 112 * MiB, b"the old one", id="many parts over an old object"),
        pytest.param("write", 24 * MiB, b"", id="one request from memory", marks=pytest.mark.long),
    ],
)
def test_a_process_killed_half_way_through_an_upload_leaves_what_was_there(
    s3: S3, store: Store, how: str, size: int, there_before: bytes, tmp_path: Path
):
    name = "shards/train/00000.tar"
    if there_before:
        store.write(name, there_before)
    file = tmp_path / "big.tar"
    file.write_bytes(os.urandom(MiB) * (size // MiB))
    with Door(s3.port, limit=size * 3 // 4).open() as door:
        upload = _start_upload(store, door.endpoint, how, file)
        assert door.reached.wait(60), "the upload never got far enough"
        assert store.names("shards/train") == (["00000.tar"] if there_before else [])
        upload.send_signal(signal.SIGKILL)
        upload.wait()
        time.sleep(0.5)  # time for the server to notice that the client has gone
    assert store.exists(name) == bool(there_before)
    if there_before:
        assert store.read(name) == there_before
    _start_upload(store, s3.endpoint, how, file).wait()
    assert hashlib.sha256(store.read(name)).digest() == hashlib.sha256(file.read_bytes()).digest()


class _OneUpload:
    """A stage of one unit that writes one file."""

    name, resources = "upload", Resources()

    def units(self, store: Store):
        yield Unit("one")

    def process(self, unit: Unit, context: Context) -> Output:
        (context.scratch / "a").write_bytes(b"x")
        return Output(files={"shards/a": context.scratch / "a"})


@pytest.mark.slow
def test_a_store_that_cannot_be_reached_is_asked_again_and_costs_no_unit(s3: S3, tmp_path: Path):
    once = (("config_kwargs", {"retries": {"max_attempts": 0}}),)  # the library need not try for long
    away = s3.store("away", endpoint="http://127.0.0.1:9")
    away = Store(away.url, (*away.options, *once))
    outcome = attempt_unit(_OneUpload(), Unit("one"), away, tmp_path, 1)
    assert (outcome.end, outcome.reason) == (End.AGAIN, Reason.SERVER_ERROR) and outcome.wait_s > 0
    assert attempt_unit(_OneUpload(), Unit("one"), s3.store("away"), tmp_path, 1).end is End.DONE


@pytest.mark.parametrize(
    ("bucket", "changes", "words"),
    [
        ("bucket", {"endpoint_url": "http://127.0.0.1:9"}, "cannot be reached"),
        ("bucket", {"key": "", "secret": ""}, "AWS_ACCESS_KEY_ID"),
        ("nowhere", {}, "bucket"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_one_message(
    s3: S3, monkeypatch: pytest.MonkeyPatch, bucket: str, changes: dict[str, str], words: str
):
    for name in [*s3.environment, "AWS_PROFILE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    once = {"skip_instance_cache": True, "config_kwargs": {"retries": {"max_attempts": 0}}}
    options = {key: value for key, value in {**dict(s3.store("x").options), **changes, **once}.items() if value}
    with pytest.raises(UserError) as refused, StorageErrorsExplained():
        Store(f"s3://{bucket}", tuple(options.items())).create("run.lock", b"x")
    assert words in str(refused.value) and "\n" not in str(refused.value)


# listings and single files


def test_what_another_process_wrote_or_deleted_is_seen_at_once(s3: S3, store: Store):
    prefix = store.url.rpartition("/")[2]
    other = s3.store(prefix)
    assert store.names("commits/cut") == [] and other.names("commits/cut") == []
    other.commit("cut", "a", {})
    assert store.committed("cut") == {"a"} and len(store.names("commits/cut")) == 1
    other.uncommit("cut", "a")
    assert store.committed("cut") == set() and store.names("commits/cut") == []


@pytest.mark.slow
def test_more_files_than_a_page_of_the_listing_holds_are_all_listed(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # the server's pages; S3's own hold 1000
    for i in range(25):
        store.write(f"many/{i:05d}", b"")
    assert store.names("many") == [f"{i:05d}" for i in range(25)]


def test_a_file_is_created_by_one_of_many(s3: S3, store: Store):
    prefix = store.url.rpartition("/")[2]
    stores = [s3.store(prefix) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda pair: pair[1].create("only", str(pair[0]).encode()), enumerate(stores)))
    assert sum(made) == 1 and store.read("only") == str(made.index(True)).encode()


# the lock


def test_a_lock_in_a_bucket_has_one_holder(s3: S3, store: Store):
    with RunLock(store) as lock:
        lock.check()
        with pytest.raises(UserError, match="in use"), RunLock(s3.store(store.url.rpartition("/")[2])):
            pass
    assert not store.exists("run.lock")


def test_another_hosts_lock_is_taken_over_once_it_stands_still_and_its_holder_notices(store: Store):
    with RunLock(store, renew_s=60) as first:
        held = store.read("run.lock").replace(b'"host": "', b'"host": "elsewhere-')
        store.write("run.lock", held)
        started = time.monotonic()
        with RunLock(store, stale_s=1.0) as second:
            assert time.monotonic() - started >= 1.0
            second.check()
            with pytest.raises(LockLost):
                first.check()


# a data set in a bucket


CONFIG = ShardsConfig(max_samples=4, card=NO_CARD)


def _fill(store: Store, n_videos: int = 4) -> None:
    for i in range(n_videos):
        failed = {1: "silent"} if i % 3 == 2 else None
        category = (1, 2, 10, 15)[i]
        commit_video(
            store, f"video-{i:05d}", n_clips=2, channel_id=f"UC-video-{i}", category_id=category, failed=failed
        )
    select(store)


KILLED_AND_REPEATED = """
import sys
from hdvila_testing.kills import Writes, exit_of_fork
from hdvila_testing.shards import NO_CARD, make_shards
from pipeline.config.shards import ShardsConfig
from pipeline.engine.store.store import Store

endpoint, url = sys.argv[1:]

def run(fatal):
    Writes(fatal)
    store = Store(url, (("endpoint_url", endpoint), ("key", "x"), ("secret", "x")))
    make_shards(store, ShardsConfig(max_samples=4, card=NO_CARD))

print(*(exit_of_fork(run, fatal) for fatal in (3, 9, 0)))
"""


@pytest.mark.slow
def test_a_run_into_a_bucket_killed_and_repeated_gives_the_bytes_of_a_disk_and_a_command_finds_it_by_its_environment(
    s3: S3, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    local = a_data_set(tmp_path, n_videos=4, n_clips=2, config=CONFIG)
    _fill(store)
    command = [sys.executable, "-c", KILLED_AND_REPEATED, s3.endpoint, store.url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == [f"{-signal.SIGKILL:d}"] * 2 + ["0"], done.stderr
    names = [str(p.relative_to(tmp_path)) for p in tmp_path.glob("shards/*/*")]
    names += ["manifest.json", "manifest.parquet", "wids.json", "sizes.json", "dataset_card.md"]
    for name in names:
        assert store.read(name) == local.read(name), name

    for variable, value in s3.environment.items():
        monkeypatch.setenv(variable, value)
    verified = CliRunner().invoke(app, ["verify", store.url, "--decode", "1"])
    assert verified.exit_code == 0 and "no fault found" in verified.output


@pytest.mark.slow
def test_remove_reshard_and_merge_work_in_a_bucket_and_across_to_a_disk(s3: S3, store: Store, tmp_path: Path):
    _fill(store, n_videos=2)
    manifest = make_shards(store, ShardsConfig(max_samples=2, card=NO_CARD))
    assert remove_packs(store, manifest) == 2 and not [n for n in store.names("packs") if n.endswith(".tar")]
    assert remove(store, Tombstones(frozenset({"video-00001"}))).n_samples == 2
    assert list(verify(store, decode=0)) == []
    local = Store(str(tmp_path / "local"))
    reshard(store, local, ShardsConfig(max_samples=1))
    assert list(verify(local, decode=0)) == []
    other = a_data_set(tmp_path / "other", n_videos=1, n_clips=1, prefix="other", config=CONFIG)
    out = s3.store("merged")
    totals = merge([local, other], out).manifest.head["totals"]
    assert totals["samples"] == read_manifest(str(tmp_path / "local")).head["totals"]["samples"] + 1
    assert list(verify(out, decode=0)) == []


def test_parts_are_listed_without_the_packs_that_lie_beside_them(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[list[str]] = []
    call_api = AioBaseClient._make_api_call

    async def seen(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        answer = await call_api(self, operation, arguments)
        if operation == "ListObjectsV2":
            pages.append([entry["Key"].rpartition("/")[2] for entry in answer.get("Contents", [])])
        return answer

    for some in (store, Store(str(tmp_path))):
        for i in range(20):
            some.write(f"packs/video-{i}.tar", b"x")
        some.write("packs/part-media-b.parquet", b"x")
        some.write("packs/part-media-a.parquet", b"x")
        some.write("empty/one.tar", b"x")
        with monkeypatch.context() as watched:
            watched.setattr(AioBaseClient, "_make_api_call", seen)
            assert some.names("packs", "part-") == ["part-media-a.parquet", "part-media-b.parquet"]
            assert some.names("empty", "part-") == some.names("nowhere", "part-") == []
    assert max(map(len, pages)) == 2

"""A run whose `out` is in a bucket: a real S3 server (moto's), nodes that are killed, and their successors."""

from __future__ import annotations

import json
import pickle
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hdvila_testing.drawn_set import a_tree
from hdvila_testing.s3 import S3, s3_server
from manifests.errors import UserError
from manifests.files import Files
from manifests.lock import LOCK, RunLock
from manifests.settings import parse_config
from tests.train.loop.test_fit import run
from tests.train.torchrun import Ranks
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.exports.export import export_run
from train.loop.bucket import at_hand
from train.loop.checkpoint import checkpoints, read_facts
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

ALONE = process_from_environment("cpu")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def node(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's scratch folder; its environment knows the server."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A node's temporary folder: a short path, since its loader's sockets lie in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def tree_for(manifest: Path, out: str, **sections: dict[str, Any]) -> dict[str, Any]:
    return {**a_tree(manifest, Path(), **sections), "out": out}


def trained(manifest: Path, out: str, **sections: dict[str, Any]) -> None:
    fit(parse_config(TrainConfig, tree_for(manifest, out, **sections), source="test"), ALONE, StopRequest())


def same_files(one: Path, other: Path, *names: str) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_a_run_in_a_bucket_leaves_there_what_it_leaves_on_a_disk(s3: S3, node: Path, drawn: Path) -> None:
    settings = {"loop": {"steps": 5, "batch": 4}, "checkpoint": {"every": 1, "keep": 2}}
    run(drawn, node / "disk", **settings)

    trained(drawn, "s3://bucket/run", **settings)

    bucket = s3.store("run")
    here = {str(p.relative_to(node / "disk")) for p in (node / "disk").rglob("*") if p.is_file()}
    there = {path.removeprefix("bucket/run/") for path in bucket.fs.find("bucket/run")}
    assert {n for n in there if "tensorboard" not in n and "distcp" not in n} == {
        n for n in here if not n.startswith(("index", "tensorboard")) and n != "run.lock" and "distcp" not in n
    }
    assert [read_facts(c).step for c in checkpoints(Files(bucket.url, bucket.options))] == [4, 5]
    assert not list(Path().glob("s3:*"))

    export_run(at_hand(bucket.url), node / "exported")
    export_run(node / "disk", node / "as from the disk")
    assert same_files(node / "exported", node / "as from the disk", "model.safetensors", "tokenizer.json")


def losses_in(s3: S3, name: str) -> dict[int, float]:
    lines = s3.store(name).read("metrics.jsonl").decode().splitlines()
    return {row["step"]: row["loss"] for row in map(json.loads, lines) if row["kind"] == "step"}


@pytest.mark.slow
def test_a_run_killed_on_one_node_ends_on_another_with_the_same_bits(
    scratch: Path, s3: S3, node: Path, drawn: Path
) -> None:
    settings = {"loop": {"steps": 9, "batch": 4}, "data": {"workers": 1}, "checkpoint": {"every": 3}}
    run(drawn, node / "disk", **settings)
    config, bucket = node / "run.yaml", Files("s3://bucket/killed")
    config.write_text(yaml.safe_dump(tree_for(drawn, bucket.url, **settings)))

    words = ("-m", "tests.train.waiting_fit", str(config), "5", "1")
    killed = Ranks(1, words, node / "log", {**s3.environment, "TMPDIR": str(scratch)})
    wait_for(5, 1, bucket, killed, scratch)
    killed.send_signal(signal.SIGKILL)
    killed.wait(300)
    assert [c.name for c in checkpoints(bucket)] == ["step-00000003"]
    bucket.write("checkpoints/step-00000006/__of_the_killed_0_0.distcp", b"half")
    trained(drawn, bucket.url, **settings)

    disk = {r["step"]: r["loss"] for r in read_metrics(node / "disk") if r["kind"] == "step"}
    assert losses_in(s3, "killed") == disk and len(disk) == 9
    assert [c.name for c in checkpoints(bucket)] == [c.name for c in checkpoints(node / "disk")]
    for here, there in zip(checkpoints(node / "disk"), checkpoints(bucket), strict=True):
        (tensors,) = (name for name in there.names("") if name.endswith(".distcp"))
        assert there.read(tensors) == (here / "__0_0.distcp").read_bytes()


def steps_here(scratch: Path) -> int:
    """The steps that a node's temporary folder tells of."""
    told = [len(file.read_text().splitlines()) for file in scratch.glob("hdvila-train-*/node-0/metrics.jsonl")]
    return max(told, default=0)


def wait_for(step: int, n_checkpoints: int, bucket: Files, ranks: Ranks, scratch: Path) -> None:
    deadline = time.monotonic() + 90
    while steps_here(scratch) < step or len(checkpoints(bucket)) < n_checkpoints:
        assert ranks.poll() is None and time.monotonic() < deadline, "the run ended too early"
        time.sleep(0.1)


class TakenOver(StopRequest):
    """Once there is a checkpoint, another run has the lock."""

    def __init__(self, bucket: Files) -> None:
        super().__init__()
        self.bucket, self.n_steps = bucket, 0

    def is_due(self) -> bool:
        self.n_steps += 1
        if self.n_steps == 3:
            while not checkpoints(self.bucket):
                time.sleep(0.02)
            self.bucket.write(LOCK, b'{"holder": "other", "host": "elsewhere", "pid": 7}')
        return False


def test_a_run_whose_lock_another_has_taken_commits_nothing_more(s3: S3, node: Path, drawn: Path) -> None:
    bucket = Files("s3://bucket/taken")
    settings = {"loop": {"steps": 5, "batch": 4}, "checkpoint": {"every": 2}}
    config = parse_config(TrainConfig, tree_for(drawn, bucket.url, **settings), source="test")

    with pytest.raises(UserError, match="taken over by elsewhere pid 7"):
        fit(config, ALONE, TakenOver(bucket))

    assert [c.name for c in checkpoints(bucket)] == ["step-00000002"]
    assert set(losses_in(s3, "taken")) <= {1, 2, 3} and json.loads(bucket.read(LOCK))["holder"] == "other"


def test_an_address_is_one_runs_at_a_time(s3: S3, node: Path, drawn: Path) -> None:
    with RunLock(Files("s3://bucket/held")), pytest.raises(UserError, match=r"in use by .* a run on this machine"):
        trained(drawn, "s3://bucket/held")


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (type(self.path).touch, (self.path,))


def test_a_strangers_bucket_runs_nothing(s3: S3, node: Path, drawn: Path) -> None:
    settings = {"loop": {"steps": 2, "batch": 4}}
    trained(drawn, "s3://bucket/strange", **settings)
    (checkpoint,) = checkpoints(Files("s3://bucket/strange"))
    checkpoint.write(".metadata", pickle.dumps(Attack(node / "touched")))

    with pytest.raises(UserError, match="step-00000002: does not fit this model, or is damaged"):
        trained(drawn, "s3://bucket/strange", loop={"steps": 3, "batch": 4})
    assert not (node / "touched").exists()

"""A run whose `out` is in a bucket: a real S3 server (moto's), and a node that goes on where another was killed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hdvila_testing.drawn_set import a_tree
from hdvila_testing.s3 import S3, s3_server
from manifests.files import Files
from manifests.settings import parse_config
from tests.train.loop.test_fit import losses, run, same_tensors
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.exports.export import export_run
from train.loop.bucket import at_hand, working_folder
from train.loop.checkpoint import checkpoints, read_facts
from train.loop.fit import StopRequest, fit

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

SETTINGS: dict[str, dict[str, Any]] = {"loop": {"steps": 5, "batch": 4}, "checkpoint": {"every": 1, "keep": 2}}


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


class Killed(StopRequest):
    """Ends the process, as it were, in a step."""

    def __init__(self, out: str, step: int) -> None:
        super().__init__()
        self.out, self.step = out, step

    def is_due(self) -> bool:
        if len(losses(working_folder(self.out))) == self.step:
            raise KeyboardInterrupt
        return False


def trained(manifest: Path, out: str, stop: StopRequest | None = None) -> None:
    config = parse_config(TrainConfig, {**a_tree(manifest, Path(), **SETTINGS), "out": out}, source="test")
    fit(config, process_from_environment("cpu"), stop or StopRequest())


def test_a_run_killed_on_one_node_ends_on_another_with_what_a_disk_would_hold(
    s3: S3, node: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(drawn, node / "disk", **SETTINGS)
    out, bucket = "s3://bucket/run", Files("s3://bucket/run")

    with pytest.raises(KeyboardInterrupt):
        trained(drawn, out, Killed(out, 3))
    killed_at = read_facts(checkpoints(bucket)[-1]).step
    assert killed_at < 5
    bucket.write("checkpoints/step-00000009/__0_0.distcp", b"half")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp := node / "another"))
    tmp.mkdir()
    trained(drawn, out)

    lines = [json.loads(line) for line in bucket.read("metrics.jsonl").decode().splitlines()]
    assert {row["step"]: row["loss"] for row in lines if row["kind"] == "step"} == losses(node / "disk")
    here = {str(path.relative_to(node / "disk")) for path in (node / "disk").rglob("*") if path.is_file()}
    there = {path.removeprefix("bucket/run/") for path in s3.store("run").fs.find("bucket/run")}
    assert there == {name for name in here if not name.startswith("index") and name != "run.lock"}
    assert [read_facts(place).step for place in checkpoints(bucket)] == [4, 5]
    assert same_tensors(at_hand(out), checkpoints(node / "disk")[-1])

    export_run(at_hand(out), node / "exported")
    export_run(node / "disk", node / "as from the disk")
    for name in ("model.safetensors", "tokenizer.json"):
        assert (node / "exported" / name).read_bytes() == (node / "as from the disk" / name).read_bytes()

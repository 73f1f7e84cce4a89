"""Data from the first day: shards close and the manifest grows while media is fetched, killed or not the same bytes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from manifests.shards import Manifest, read_manifest, read_published
from pipeline.engine.store.store import Store

pytestmark = pytest.mark.slow

SETTINGS = ("balance.total=24", "balance.batch_videos=3", "balance.batch_candidates=4", "shards.max_samples=4")


Start = Callable[[Path, int], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts runs. What still runs after the test is killed: one that fails would leave it working for minutes."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(out: Path, n_cpus: int) -> subprocess.Popen[bytes]:
        started.append(run_of(out, n_cpus))
        return started[-1]

    yield start_one
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_of(out: Path, n_cpus: int) -> subprocess.Popen[bytes]:
    """The demo on ten videos, in batches of three and shards of four samples."""
    command = [sys.executable, "-P", "-m", "pipeline.cli", "demo", "--out", str(out), "--n-videos", "10"]
    sets = [part for text in (*SETTINGS, f"engine.n_cpus={n_cpus}") for part in ("--set", text)]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen([*command, *sets], stdout=log, stderr=log, start_new_session=True)


def first_manifest(out: Path, process: subprocess.Popen[bytes]) -> Manifest:
    """The manifest as soon as there is one. Fails where the run ends before, or after minutes without one."""
    until = time.monotonic() + 400
    while not (out / "manifest.json").exists() and time.monotonic() < until:
        assert process.poll() is None, (out.parent / f"{out.name}.log").read_text()[-3000:]
        time.sleep(0.02)
    assert (out / "manifest.json").exists(), (out.parent / f"{out.name}.log").read_text()[-3000:]
    return read_manifest(str(out))


def first_and_all(out: Path) -> tuple[int, int]:
    """How many videos the batches had before the first shards were closed, and how many all batches have."""
    n_batches = json.loads((out / "generations" / "00000.json").read_text())["n_batches"]
    sizes = [len(json.loads(file.read_text())["video_ids"]) for file in sorted((out / "batches").glob("*.json"))]
    return sum(sizes[:n_batches]), sum(sizes)


def finish(out: Path, process: subprocess.Popen[bytes]) -> None:
    assert process.wait(timeout=500) == 0, (out.parent / f"{out.name}.log").read_text()[-3000:]


def bytes_of(out: Path) -> dict[str, str]:
    """Hashes of tars, their rows, what is selected and what was planned."""
    globs = ("shards/*/*.tar", "shards/*/*.parquet", "*.parquet", "batches/*.json", "generations/*.json")
    files = [file for pattern in globs for file in out.glob(pattern)]
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def line_of(out: Path) -> list[dict[str, Any]]:
    """What the manifest in force and its parents say, the times of their making and the names of parents apart."""
    said, sha256 = [], read_manifest(str(out)).sha256
    while sha256:
        head = dict(read_published(str(out), sha256).head)
        sha256 = head.pop("parent")
        head.pop("created_at")
        said.append(json.loads(json.dumps(head)))
    return said


@pytest.mark.timeout(1500)
def test_the_manifest_grows_from_the_first_closed_shard_on_killed_or_not(tmp_path: Path, start: Start) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    process = start(undisturbed, 3)
    first = first_manifest(undisturbed, process)
    n_made = len(Store(str(undisturbed)).committed("media"))
    finish(undisturbed, process)

    last = read_manifest(str(undisturbed))
    assert n_made < len(Store(str(undisturbed)).committed("media")), "media was still to be fetched"
    n_first, n_all = first_and_all(undisturbed)
    assert 2 * n_first <= n_all, "the first manifest within the first half of the work, on any machine"
    assert {shard.url for shard in first.shards} < {shard.url for shard in last.shards}
    assert all(shard in last.shards for shard in first.shards), "what is closed stays as it is"
    assert read_published(str(undisturbed), first.sha256).shards == first.shards

    process = start(killed, 1)
    first_manifest(killed, process)
    process.kill()
    process.wait()
    finish(killed, start(killed, 1))

    assert bytes_of(killed) == bytes_of(undisturbed)
    assert line_of(killed) == line_of(undisturbed) and len(line_of(killed)) > 2

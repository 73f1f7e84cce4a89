"""A run that is killed at any moment and started again ends with the same bytes as one that nobody disturbed."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

N_VIDEOS = 8
N_KILLS = 3


def start(out: Path) -> subprocess.Popen[bytes]:
    """The demo's driver as a process of its own, on some of the videos."""
    command = [sys.executable, "-P", "-m", "pipeline.cli", "demo", "--out", str(out), "--n-videos", str(N_VIDEOS)]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen([*command, "--set", "balance.total=16"], stdout=log, stderr=log, start_new_session=True)


def finish(out: Path) -> float:
    """Runs to the end; returns the seconds it took."""
    started = time.monotonic()
    process = start(out)
    assert process.wait(timeout=300) == 0, (out.parent / f"{out.name}.log").read_text()[-3000:]
    return time.monotonic() - started


def kill_after(out: Path, seconds: float) -> int:
    """Starts the driver and kills it with SIGKILL; returns how many units were committed by then."""
    process = start(out)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return len(list(out.glob("commits/*/*.json")))


def bytes_of(out: Path) -> dict[str, str]:
    """Hashes of what users read: tars, selection, manifest (its time of making apart)."""
    files = [
        *out.glob("shards/*/*.tar"),
        *out.glob("shards/*/*.parquet"),
        out / "selection.parquet",
        out / "manifest.parquet",
    ]
    hashes = {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    manifest = json.loads((out / "manifest.json").read_bytes())
    manifest.pop("created_at")
    return hashes | {"manifest.json": json.dumps(manifest, sort_keys=True)}


@pytest.mark.timeout(1200)
def test_three_kills_at_random_moments_change_no_byte(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    whole_s = finish(undisturbed)
    moments = sorted(random.Random(7).uniform(0.25, 0.9) * whole_s for _ in range(N_KILLS))

    committed = [kill_after(killed, moment) for moment in moments]
    finish(killed)

    assert any(0 < n < len(list(undisturbed.glob("commits/*/*.json"))) for n in committed), "no kill came in the middle"
    assert bytes_of(killed) == bytes_of(undisturbed)
    assert not list(killed.rglob(".tmp-*"))

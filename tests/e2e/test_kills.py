"""A run that is killed at any moment and started again ends with the same bytes as one that nobody disturbed."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine.store.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.faults]

N_VIDEOS = 8
N_KILLS = 3


def start(out: Path) -> subprocess.Popen[bytes]:
    """The demo's driver as a process of its own, on some of the videos."""
    command = [sys.executable, "-P", "-m", "pipeline.cli", "demo", "--out", str(out), "--n-videos", str(N_VIDEOS)]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen([*command, "--set", "balance.total=16"], stdout=log, stderr=log, start_new_session=True)


def finish(out: Path) -> None:
    """Runs to the end."""
    process = start(out)
    assert process.wait(timeout=900) == 0, (out.parent / f"{out.name}.log").read_text()[-3000:]


def n_commits(out: Path) -> int:
    """Units that are committed."""
    store = Store(str(out))
    return sum(len(store.committed(stage)) for stage in store.stages())


def kill_at(out: Path, commits: int, delay_s: float) -> int:
    """Starts the driver and kills it a moment after so many units are committed; returns how many are then."""
    process = start(out)
    until = time.monotonic() + 240
    while n_commits(out) < commits and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(delay_s)
    process.kill()
    process.wait()
    return n_commits(out)


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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    finish(out)
    return out


@pytest.mark.timeout(1800)
def test_sigterm_drains_and_the_next_run_ends_with_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    process = start(out)
    until = time.monotonic() + 240
    while n_commits(out) < n_commits(undisturbed) // 2 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=120) == 75
    log = (tmp_path / "drained.log").read_text()
    assert "stopped on request (SIGTERM)" in log and "Run the same command again" in log
    assert "Traceback" not in log and "SIGABRT" not in log
    status = json.loads((out / "status.json").read_bytes())
    assert (status["state"], status["exit_code"]) == ("ended", 75)

    finish(out)
    assert bytes_of(out) == bytes_of(undisturbed)
    assert json.loads((out / "status.json").read_bytes())["exit_code"] == 0


@pytest.mark.timeout(2400)
def test_three_kills_at_random_moments_change_no_byte(undisturbed: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    total = n_commits(undisturbed)
    moments = random.Random(7)
    # most units are quick listings; the last ones are media and shards, where a run spends its time
    places = [moments.randrange(1, total // 2), *sorted(moments.sample(range(total - 9, total - 1), N_KILLS - 1))]

    committed = [kill_at(killed, place, moments.uniform(0, 0.5)) for place in places]
    finish(killed)

    assert any(0 < n < total for n in committed), "no kill came in the middle"
    assert bytes_of(killed) == bytes_of(undisturbed)
    assert not list(killed.rglob(".tmp-*"))

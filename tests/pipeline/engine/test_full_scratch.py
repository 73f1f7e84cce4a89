"""A scratch folder on a disk that is really full (a small tmpfs) ends a run with the cure, and costs no unit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.store import Store
from tests.conftest import REPO, need

pytestmark = pytest.mark.faults

RUN = """
import sys
from pathlib import Path
from pipeline.engine.executor import LocalExecutor
from pipeline.engine.lock import RunLock
from pipeline.engine.run import RunStopped, run_stage
from pipeline.engine.store import Store
from tests.pipeline.engine.toys import ToyStage
folder = Path(sys.argv[1])
store = Store(str(folder / "out"))
stage = ToyStage((("small", "ok"), ("big", "fill")), folder / "marks")
try:
    with RunLock(store) as lock:
        run_stage(stage, store, LocalExecutor(folder / "scratch"), lock)
except RunStopped as stopped:
    print("stopped:", stopped)
left = [str(path) for path in (folder / "scratch").rglob("*") if path.is_file()]
print("left in scratch:", left)
"""


def run_on_a_disk_of(megabytes: int, folder: Path) -> str:
    """What a run says whose scratch is a tmpfs of that size, in a mount namespace of its own."""
    mounted = f'mount -t tmpfs -o size={megabytes}m none "$1/scratch" && exec "$0" -c "$2" "$1"'
    command = ["unshare", "-rm", "sh", "-c", mounted, sys.executable, str(folder), RUN]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_full_scratch_ends_the_run_and_the_next_one_with_room_does_the_rest(tmp_path: Path) -> None:
    try:
        may = subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        may = False
    need(may, "user namespaces (unshare -rm)")
    for name in ("marks", "scratch"):
        (tmp_path / name).mkdir()

    full = run_on_a_disk_of(4, tmp_path)
    store = Store(str(tmp_path / "out"))
    assert "stopped: toy: no_disk" in full and "left in scratch: []" in full
    assert set(store.committed("toy")) == {"small"}
    assert store.read_rejects().num_rows == 0

    roomy = run_on_a_disk_of(64, tmp_path)
    assert "stopped" not in roomy
    assert set(Store(str(tmp_path / "out")).committed("toy")) == {"small", "big"}

"""Scratch folders: what a dead worker left is swept, and a full one ends the run."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
from pipeline.engine.work import scratch as scratch_module
from pipeline.engine.work.attempt import attempt_unit
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.scratch import scratch_folder
from pipeline.engine.work.unit import PlaceFailed, StopRun, Unit
from tests.conftest import REPO, need
from tests.pipeline.engine.runs import run
from tests.pipeline.engine.toy_limits import toy


def test_what_a_dead_worker_left_is_swept_by_the_next_attempt_there(tmp_path: Path) -> None:
    root, run = tmp_path / "scratch", str(tmp_path / "out")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with scratch_folder(root, run, "toy-mine") as own, scratch_folder(root, "another run", "toy-theirs") as theirs:
        left, of_another_run = (root / f.name.replace(f".{os.getpid()}.", f".{dead.pid}.") for f in (own, theirs))
        for folder in (left, of_another_run):
            folder.mkdir()
            (folder / "half").write_bytes(b"x")
        alive, of_another_host = own.with_name(own.name + "-2"), left.with_name("elsewhere" + left.name)
        alive.mkdir()
        of_another_host.mkdir()

        attempt_unit(toy(tmp_path, "", time_limit_s=9), Unit("a", "", ("a",)), Store(run), root, 1)

        assert not left.exists()
        assert all(folder.exists() for folder in (own, theirs, alive, of_another_run, of_another_host))


def test_a_scratch_folder_that_cannot_be_used_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path)
    others = tmp_path / "others"
    others.mkdir()

    for scratch, said in ((tmp_path / "file", "cannot be made|is a link"), (tmp_path / "link", "is a link")):
        with pytest.raises(RunStopped, match=said):
            run(tmp_path, LocalExecutor(scratch), ("a", ""))
    if os.getuid() == 0:
        os.chown(others, 12345, -1)
        with pytest.raises(RunStopped, match="another user"):
            run(tmp_path, LocalExecutor(others), ("a", ""))
    assert not Store(str(tmp_path / "out")).committed("toy")


def test_scratch_is_gone_whatever_happened(tmp_path: Path) -> None:
    run(tmp_path, LocalExecutor(tmp_path / "scratch"), ("a", ""), ("b", "bug"), ("c", "reject"))

    assert list((tmp_path / "scratch").iterdir()) == []


RUN = """
import sys
from pathlib import Path
from pipeline.engine.work.executor import LocalExecutor
from manifests.lock import RunLock
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
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
    need(may, "user namespaces (unshare -rm)", "kernel")
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


def prefix_of(root: Path, run: str) -> str:
    """What the names of a run's folders begin with on this machine."""
    with scratch_folder(root, run, "a-look") as scratch:
        return scratch.name.partition(f"{os.getpid()}.")[0]


def test_a_folder_is_this_users_alone_and_gone_at_the_end_also_where_the_block_removed_it(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "scratch"
    with scratch_folder(root, "run", "toy-a") as scratch:
        assert stat.S_IMODE(scratch.stat().st_mode) == stat.S_IMODE(root.stat().st_mode) == 0o700
        assert scratch.name.startswith(prefix_of(root, "run") + f"{os.getpid()}.toy-a-")
        scratch.rmdir()
    with scratch_folder(root, "run", "toy-a") as scratch:
        (scratch / "film").write_bytes(b"x")
    assert list(root.iterdir()) == []


def test_a_held_folder_waits_for_its_driver_and_goes_with_another(tmp_path: Path) -> None:
    def held_by(driver: str) -> Path:
        with scratch_folder(tmp_path, "run", "toy-a") as scratch:
            (scratch / "film").write_text(driver)
            return scratch_module.hold(scratch, tmp_path, "run", driver)

    first, second = held_by("one"), held_by("one")
    assert first != second and all((held / "film").exists() for held in (first, second))
    prefix = prefix_of(tmp_path, "run")
    assert scratch_module.sweep(tmp_path, prefix) == 0, "what waits is no leftover"
    with scratch_folder(tmp_path, "run", "toy-a", first) as scratch:
        assert (scratch / "film").read_text() == "one" and not first.exists()
    assert second.exists()
    in_the_way = tmp_path / f"{prefix}held.zero.file"
    in_the_way.write_text("cannot be removed as a folder")

    other = held_by("two")

    assert other.exists() and not second.exists() and in_the_way.exists()
    gone = pytest.raises(scratch_module.HeldGone, match="what was fetched is gone")
    with gone, scratch_folder(tmp_path, "run", "toy-a", second):
        pass


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="without /proc, a zombie looks alive")
def test_a_killed_process_that_nobody_has_collected_yet_is_dead(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (tmp_path / f"host.{killed.pid}.unit").mkdir()
    assert scratch_module.sweep(tmp_path, "host.") == 0
    killed.kill()
    until = time.monotonic() + 60
    while not (n_swept := scratch_module.sweep(tmp_path, "host.")) and time.monotonic() < until:
        time.sleep(0.01)
    killed.wait()
    assert n_swept == 1


@pytest.mark.parametrize("at", ["root", "folder"])
@pytest.mark.parametrize(
    ("number", "error", "said"),
    [
        (errno.ENOSPC, StopRun, "free some space"),
        (errno.EROFS, PlaceFailed, "look at this machine's disk"),
        (errno.EACCES, PlaceFailed, r"can(not)? be made .*set engine\.scratch"),
    ],
)
def test_a_folder_that_cannot_be_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, number: int, error: type[Exception], said: str
) -> None:
    mkdir = Path.mkdir

    def failing(path: Path, *args: int, **how: bool) -> None:
        if (path == tmp_path / "scratch") == (at == "root"):
            raise OSError(number, os.strerror(number))
        mkdir(path, *args, **how)

    monkeypatch.setattr(Path, "mkdir", failing)
    with pytest.raises(error, match=said), scratch_folder(tmp_path / "scratch", "run", "toy-a"):
        pass

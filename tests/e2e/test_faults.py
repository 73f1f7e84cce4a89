"""What befalls processes, machines and clocks costs no video: one check after each, against an undisturbed run."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.lock import RunLock
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor, LocalExecutor
from pipeline.engine.work.unit import Resources
from tests.conftest import REPO, need
from tests.pipeline.engine.toys import ToyStage

pytestmark = pytest.mark.slow

FAULTS = {
    "a worker is killed": "die-once",
    "a decoder crashes": "crash-once",
    "a decoder hangs in C": "stuck-once",
    "a unit hangs": "hang-once",
    "a unit takes too much memory": "hog-once",
    "the site refuses for now": "busy-once",
}
UNITS = ("a", "b", "c", "d", "e", "f", "g")
LIMITS = Resources(time_limit_s=3, memory_bytes=200 * 1024**2)


def run(folder: Path, executor: Executor, **actions: str) -> Store:
    """A run over all units, of which some misbehave as a toy can."""
    (folder / "marks").mkdir(parents=True)
    store = Store(str(folder / "out"))
    stage = ToyStage(tuple((unit, actions.get(unit, "")) for unit in UNITS), folder / "marks", resources=LIMITS)
    with RunLock(store) as lock:
        run_stage(stage, store, executor, lock)
    return store


def bytes_of(store: Store) -> dict[str, str]:
    """What a run left in its output directory beside commits and parts, whose names no two attempts share."""
    apart = ("commits", "listings")
    files = (file for file in Path(store.root).rglob("*") if file.is_file())
    return {
        str(path): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if (path := file.relative_to(store.root)).parts[0] not in apart
    }


def check(store: Store, undisturbed: Store, scratch: Path) -> None:
    """Nothing is lost, nothing is there twice, bytes are those of the undisturbed run, and nothing is left over."""
    assert store.committed("toy") == set(UNITS)
    assert store.read_table("listings").column("video_id").to_pylist() == sorted(UNITS)
    assert store.read_rejects().num_rows == 0
    assert bytes_of(store) == bytes_of(undisturbed)
    assert not list(Path(store.root).rglob(".tmp-*"))
    assert store.sweep_parts() == 0, "a part that no commit names"
    own = (
        f"*.{hashlib.sha256(store.url.encode()).hexdigest()[:12]}.*"  # other runs share the folder, and sweep their own
    )
    assert not [folder for folder in scratch.glob(own) if folder.is_dir() and not _is_of_a_live_process(folder)]


def _is_of_a_live_process(folder: Path) -> bool:
    return any(Path(f"/proc/{part}").exists() for part in folder.name.split(".") if part.isdigit())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("undisturbed")
    return run(folder, LocalExecutor(folder / "scratch"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def on_ray(scratch: Path) -> Iterator[Executor]:
    from pipeline.engine.on_ray.cluster import RayExecutor

    executor = RayExecutor(scratch, n_cpus=2)
    yield executor
    executor.close()


def test_units_that_something_befalls_are_made_all_the_same(
    tmp_path: Path, on_ray: Executor, scratch: Path, undisturbed: Store
) -> None:
    """Each fault in a unit of its own, all of them in one run; the last unit is spared."""
    befallen = dict(zip(UNITS, FAULTS.items(), strict=False))
    store = run(tmp_path, on_ray, **{unit: action for unit, (_, action) in befallen.items()})

    tries = {fault: len(list((tmp_path / "marks").glob(f"{unit}.*"))) for unit, (fault, _) in befallen.items()}
    assert {fault for fault, n in tries.items() if n >= 2} == set(FAULTS)
    check(store, undisturbed, scratch)


CLOCKED = """
import sys
from pathlib import Path
from pipeline.engine.work.executor import LocalExecutor
from manifests.lock import RunLock
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from tests.e2e.test_faults import LIMITS, UNITS
from tests.pipeline.engine.toys import ToyStage
folder = Path(sys.argv[1])
store = Store(str(folder / "out"))
stage = ToyStage(tuple((unit, "nap") for unit in UNITS), folder / "marks", resources=LIMITS)
with RunLock(store, renew_s=0.1) as lock:
    run_stage(stage, store, LocalExecutor(folder / "scratch"), lock)
    lock.check()
"""


@pytest.mark.programs
@pytest.mark.parametrize("jumps", [("-2d", "+3d"), pytest.param(("+10d", "-1d"), marks=pytest.mark.long)])
def test_the_clock_of_the_driver_s_machine_jumps(tmp_path: Path, undisturbed: Store, jumps: tuple[str, str]) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    need(library is not None, "libfaketime (apt install faketime)")
    (tmp_path / "marks").mkdir()
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPO),
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # a clock that is set does not set that one
    }
    driver = subprocess.Popen(
        [sys.executable, "-c", CLOCKED, str(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True
    )
    for unit, jump in zip(("a", "c"), jumps, strict=True):
        until = time.monotonic() + 60
        while not (tmp_path / "marks" / f"{unit}.0").exists() and driver.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        (tmp_path / "jump").write_text(jump)
        (tmp_path / "jump").replace(clock)  # the library ends the driver if it reads a file that is being written

    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 0, said
    check(Store(str(tmp_path / "out")), undisturbed, tmp_path / "scratch")

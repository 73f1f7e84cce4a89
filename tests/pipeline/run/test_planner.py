"""The planning process by itself: it goes with its driver."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.engine.store.store import Store
from tests.pipeline.run import recipes

DRIVER = """
import sys
from pathlib import Path
from pipeline.config import RunConfig
from manifests.lock import RunLock
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.run.planned_beside import plan_beside
from pipeline.run.session import Session
from tests.pipeline.run import recipes

store = Store(sys.argv[1])
with RunLock(store) as lock, Desk(store) as desk:
    config = RunConfig.model_validate({"out": store.url})
    plan_beside(Session(config, store, LocalExecutor(Path(sys.argv[2])), lock, desk), recipes.held_at_the_end)
"""


def test_a_planning_process_whose_driver_is_killed_ends_and_plans_nothing_more(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    repo = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", DRIVER, store.url, str(tmp_path / "scratch")]
    driver = subprocess.Popen(command, cwd=repo, env={**os.environ, "PYTHONPATH": str(repo)})
    try:
        wait_for(lambda: store.exists(recipes.LATCH))
        planner = int(store.read(recipes.PLANS))
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()

    wait_for(lambda: not Path(f"/proc/{planner}").exists())


def wait_for(is_so: object) -> None:
    until = time.monotonic() + 60
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.05)

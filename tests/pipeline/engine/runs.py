"""Runs of toy units on any executor, and how often each unit was tried."""

from pathlib import Path

from manifests.lock import RunLock
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.lines import StageResult
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor
from pipeline.engine.work.unit import Resources
from tests.pipeline.engine.toys import ToyStage


def run(
    tmp_path: Path, executor: Executor, *actions: tuple[str, str], patience: int = 3, limit_s: float = 60
) -> tuple[Store, StageResult]:
    (tmp_path / "marks").mkdir(exist_ok=True)
    store = Store(str(tmp_path / "out"))
    stage = ToyStage(actions, tmp_path / "marks", resources=Resources(n_cpus=1, time_limit_s=limit_s))
    with RunLock(store) as lock:
        return store, run_stage(stage, store, executor, lock, patience=patience)


def attempts(tmp_path: Path, unit: str) -> int:
    return len(list((tmp_path / "marks").glob(f"{unit}.*")))

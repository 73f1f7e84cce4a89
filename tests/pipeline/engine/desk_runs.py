"""A stage of a few units with a desk beside it, for tests of status, control and stops."""

from pathlib import Path

from manifests.lock import RunLock
from pipeline.engine.run.drain import StopRequest
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.lines import StageResult
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from tests.pipeline.engine.toys import ToyStage

UNITS = tuple((f"u{i}", "") for i in range(5))


def run(store: Store, tmp_path: Path, desk: Desk) -> StageResult:
    with RunLock(store) as lock:
        stage = ToyStage(UNITS, tmp_path / "marks")
        return run_stage(stage, store, LocalExecutor(tmp_path / "scratch"), lock, desk=desk)


class StopsAfter(StopRequest):
    """Asks for the end once so many units are committed."""

    def __init__(self, store: Store, n_units: int) -> None:
        super().__init__()
        self.store, self.n_units = store, n_units

    @property
    def is_due(self) -> bool:
        if len(self.store.committed("toy")) >= self.n_units:
            self.request("a test asks")
        return super().is_due

"""`hdvila-train fit`, for tests that kill it: after a step it waits to be killed, so that no run ends before it is.

-m tests.train.waiting_fit CONFIG STEPS [CHECKPOINTS]
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from manifests.settings import load_config
from train.config import TrainConfig
from train.distributed import process_from_environment, process_group
from train.loop.checkpoint import checkpoints
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics


class WaitsWhen(StopRequest):
    """Is asked after each step, and answers no more once `reached`."""

    def __init__(self, reached: Callable[[], bool]) -> None:
        super().__init__()
        self._reached = reached

    def is_due(self) -> bool:
        while self._reached():
            time.sleep(600)
        return False


def main(config: str, steps: str, n_checkpoints: str = "0") -> None:
    """Trains until the metrics hold so many steps and the folder so many checkpoints."""
    settings = load_config(TrainConfig, Path(config))
    out = Path(settings.out)

    def reached() -> bool:
        done = sum(row["kind"] == "step" for row in read_metrics(out))
        return done >= int(steps) and len(checkpoints(out)) >= int(n_checkpoints)

    process = process_from_environment(settings.loop.device)
    with process_group(process):
        fit(settings, process, WaitsWhen(reached))


if __name__ == "__main__":
    main(*sys.argv[1:])

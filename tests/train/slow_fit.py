"""`hdvila-train fit CONFIG` with steps of at least half a second, so that nodes can come and go before it ends."""

import sys
import time
from pathlib import Path

from manifests.settings import load_config
from train.config import TrainConfig
from train.distributed import process_from_environment, process_group
from train.loop.fit import StopRequest, fit, launcher_pid, stop_on_signals


class Slow(StopRequest):
    """Is asked after each step."""

    def is_due(self) -> bool:
        time.sleep(0.5)
        return super().is_due()


def main(config: str) -> None:
    """Trains; ends with 75 when it was stopped."""
    settings = load_config(TrainConfig, Path(config))
    process, stop = process_from_environment("cpu"), Slow(launcher_pid=launcher_pid())
    with stop_on_signals(stop), process_group(process):
        outcome = fit(settings, process, stop)
    sys.exit(75 if outcome.status == "stopped" else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])

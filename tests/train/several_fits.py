"""Run on ranks by tests: several trainings one after another in one start of the processes.

torchrun --nproc-per-node 2 -m tests.train.several_fits CONFIG...
"""

import os
import sys
from pathlib import Path

from manifests.settings import load_config
from train.config import TrainConfig
from train.distributed import process_from_environment, process_group
from train.loop.fit import StopRequest, fit


def main(*configs: str) -> None:
    """Each to its end."""
    process = process_from_environment("cpu")
    with process_group(process):
        for config in configs:
            fit(load_config(TrainConfig, Path(config)), process, StopRequest())


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # the runs are written; threads of gloo that outlive the group could abort the interpreter's end

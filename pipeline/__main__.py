"""Where the program `hdvila-pipeline` begins. A run that is asked to end while its modules are still being imported,
which takes seconds on a busy machine, ends as it would later.
"""

import os
import signal
import sys
from types import FrameType

DRAINED = 75  # manifests.exits.ExitCode.DRAINED, which would be one more import
SAID = b"hdvila-pipeline: stopped on request; what is committed is kept. Run the same command again to continue\n"


def main() -> None:
    """Runs the command that the arguments name."""
    if {"run", "demo"} & {*sys.argv}:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _end)
    from pipeline.cli import main as commands

    commands()


def _end(number: int, frame: FrameType | None) -> None:
    """Ends the process at once: nothing is under way yet, or any more."""
    try:
        os.write(2, SAID)
    finally:
        os._exit(DRAINED)


if __name__ == "__main__":
    main()

"""A run whose workers die: `python -m tests.e2e.deaths MARKS MOMENTS run CONFIG --set …`.

MARKS is a folder where each death leaves its unit, MOMENTS says as JSON when workers of each stage die. A module of its
own, so that each new worker imports this and no more of the tests.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.engine.work.unit import Context, Output, Unit


@dataclass(frozen=True)
class DiesOnce:
    """A stage whose worker is killed at given moments: as it fetches, as it begins a unit, when it has made another.

    No unit meets two of them: a third would be its verdict.
    """

    stage: Any
    marks: Path
    moments: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "stage":
            raise AttributeError(name)
        return getattr(self.stage, name)

    def prepare(self, unit: Unit, context: Context) -> None:
        self._die(unit, "fetch")
        self.stage.prepare(unit, context)

    def process(self, unit: Unit, context: Context) -> Output:
        self._die(unit, "begun")
        made: Output = self.stage.process(unit, context)
        self._die(unit, "made")
        return made

    def _die(self, unit: Unit, moment: str) -> None:
        if moment not in self.moments:
            return
        if any(mark.read_text() == unit.name for mark in self.marks.glob(f"{self.stage.name}.*")):
            return
        try:
            with (self.marks / f"{self.stage.name}.{moment}").open("x") as mark:
                mark.write(unit.name)
        except FileExistsError:
            return
        if (self.stage.name, moment) == ("extract", "made"):
            os.kill(int((self.marks / "politeness").read_text()), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def noted(build: Callable[[], Any], marks: Path) -> Any:
    """What an actor holds; which process holds it stands in a file, and that it began in one more."""
    (marks / "politeness").write_text(str(os.getpid()))
    (marks / f"politeness {time.time()}").touch()
    return build()


def main(marks: Path, moments: dict[str, list[str]], *arguments: str) -> None:
    """Runs `hdvila-pipeline` with these arguments on workers that die."""
    from pipeline.__main__ import main as run
    from pipeline.engine.on_ray.cluster import RayExecutor
    from tests.e2e import deaths  # workers look the class up in the module of this name, not in `__main__`

    begin, share = RayExecutor.begin, RayExecutor.share

    def begin_with_deaths(self: RayExecutor, stage: Any, store: Any) -> None:
        begin(self, deaths.DiesOnce(stage, marks, tuple(moments.get(stage.name, ()))), store)

    def share_noted(self: RayExecutor, name: str, build: Callable[[], Any]) -> Any:
        return share(self, name, partial(deaths.noted, build, marks) if name == "politeness" else build)

    RayExecutor.begin, RayExecutor.share = begin_with_deaths, share_noted  # type: ignore[method-assign]
    sys.argv[1:] = arguments
    run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), *sys.argv[3:])

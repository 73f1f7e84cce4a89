"""Workers killed in every stage, and the actor that all ask before they ask the site, cost no video and no byte."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from miniyoutube.demo_catalogue import demo_catalogue
from miniyoutube.job import demo_config, pointed_at, some_of
from miniyoutube.server import MiniYouTube
from pipeline.engine.on_ray.cluster import RayExecutor
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Stage, Unit
from pipeline.run.road import run_pipeline
from tests.e2e.test_kills import bytes_of

pytestmark = [pytest.mark.slow, pytest.mark.faults]

N_VIDEOS = 8


@dataclass(frozen=True)
class DiesOnce:
    """A stage whose worker is killed as it begins a unit, and when it has made another; one more as it fetches.

    No unit meets two of them: a third would be its verdict. `marks` is a folder where each death leaves its unit.
    """

    stage: Any
    marks: Path

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


def run(out: Path, *overrides: str) -> Store:
    config = demo_config(out, None, ["balance.total=16", *overrides])
    with MiniYouTube(some_of(demo_catalogue(), N_VIDEOS)) as site:
        assert run_pipeline(pointed_at(site, config)).exit_code == 0
    return Store(str(out))


def verdicts(store: Store) -> set[tuple[str, ...]]:
    return {tuple(row.values()) for row in store.read_rejects().select(["stage", "video_id", "reason"]).to_pylist()}


def descendants(mark: str) -> list[str]:
    """Command lines of other processes that have a text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:  # it is over, or another user's
            continue
    return [line for line in found if line]


@pytest.mark.timeout(1800)
def test_a_worker_killed_in_every_stage_and_the_politeness_actor_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = run(tmp_path / "undisturbed", "engine.executor=local")
    marks = tmp_path / "marks"
    marks.mkdir()
    begin, share = RayExecutor.begin, RayExecutor.share

    def begin_with_deaths(self: RayExecutor, stage: Stage, store: Store) -> None:
        begin(self, DiesOnce(stage, marks), store)

    def share_noted(self: RayExecutor, name: str, build: Callable[[], Any]) -> Any:
        return share(self, name, partial(noted, build, marks) if name == "politeness" else build)

    monkeypatch.setattr(RayExecutor, "begin", begin_with_deaths)
    monkeypatch.setattr(RayExecutor, "share", share_noted)
    monkeypatch.setenv("HDVILA_MARK", str(tmp_path))
    disturbed = run(tmp_path / "disturbed", "engine.n_cpus=2")

    assert {mark.name.partition(".")[0] for mark in marks.glob("*.begun")} == set(undisturbed.stages())
    assert {"extract.made", "media.fetch", "media.made"} <= {mark.name for mark in marks.iterdir()}
    assert len(list(marks.glob("politeness *"))) == 2, "the actor began again"
    assert bytes_of(Path(disturbed.root)) == bytes_of(Path(undisturbed.root))
    assert verdicts(disturbed) == verdicts(undisturbed)
    assert not list(Path(disturbed.root).rglob(".tmp-*")) and disturbed.sweep_parts() == 0
    until = time.monotonic() + 60
    while (left := descendants(str(tmp_path))) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left, "an orphan"

"""Workers killed in every stage, and the actor that all ask before they ask the site, cost no video and no byte.

By `make test` a stage loses one worker, the media stage two; by `make test-long` one at each moment of its work.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from miniyoutube.server import MiniYouTube
from pipeline.engine.on_ray.cluster import RayExecutor
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Stage
from pipeline.run.road import run_pipeline
from tests.e2e.conftest import Finished
from tests.e2e.deaths import DiesOnce, noted
from tests.e2e.small_run import bytes_of, small_catalogue, small_config

pytestmark = pytest.mark.slow

AT_EACH = ("fetch", "begun", "made")
AT_ONE = {
    "list": ("begun",),
    "extract": ("made",),
    "transcripts": ("begun",),
    "clips": ("made",),
    "choose": ("begun",),
    "media": ("fetch", "made"),
    "shards": ("begun",),
    "same_texts": ("made",),
    "same_sentences": ("begun",),
}
SURE_AT_EACH = {**dict.fromkeys(AT_ONE, ("begun",)), "extract": ("begun", "made"), "media": AT_EACH}
"""A stage of one unit loses no second worker."""


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
@pytest.mark.parametrize(
    "moments", [AT_ONE, pytest.param(dict.fromkeys(AT_ONE, AT_EACH), marks=pytest.mark.long)], ids=["one", "each"]
)
def test_a_worker_killed_in_every_stage_and_the_politeness_actor_change_no_byte(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moments: dict[str, tuple[str, ...]]
) -> None:
    undisturbed = Store(str(finished.out))
    marks = tmp_path / "marks"
    marks.mkdir()
    begin, share = RayExecutor.begin, RayExecutor.share

    def begin_with_deaths(self: RayExecutor, stage: Stage, store: Store) -> None:
        begin(self, DiesOnce(stage, marks, moments[stage.name]), store)

    def share_noted(self: RayExecutor, name: str, build: Callable[[], Any]) -> Any:
        return share(self, name, partial(noted, build, marks) if name == "politeness" else build)

    monkeypatch.setattr(RayExecutor, "begin", begin_with_deaths)
    monkeypatch.setattr(RayExecutor, "share", share_noted)
    monkeypatch.setenv("HDVILA_MARK", str(tmp_path))
    disturbed = Store(str(tmp_path / "disturbed"))
    with MiniYouTube(small_catalogue()) as site:
        assert run_pipeline(small_config(site, Path(disturbed.root))).exit_code == 0

    assert set(AT_ONE) == set(undisturbed.stages())
    died = {mark.name for mark in marks.iterdir()}
    sure = AT_ONE if moments is AT_ONE else SURE_AT_EACH
    assert {f"{stage}.{moment}" for stage, of_it in sure.items() for moment in of_it} <= died
    assert len(list(marks.glob("politeness *"))) == 2, "the actor began again"
    assert bytes_of(Path(disturbed.root)) == bytes_of(Path(undisturbed.root))
    assert verdicts(disturbed) == verdicts(undisturbed)
    assert not list(Path(disturbed.root).rglob(".tmp-*")) and disturbed.sweep_parts() == 0
    until = time.monotonic() + 60
    while (left := descendants(str(tmp_path))) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left, "an orphan"

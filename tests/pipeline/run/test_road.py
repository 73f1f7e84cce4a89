"""A run whose shards close while media comes, stopped at the worst moments: what is selected is what is in shards."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.exits import ExitCode
from pipeline.crawl.plan import Wanted
from pipeline.engine.run.lines import Line
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store
from pipeline.run import road
from pipeline.run.batches import Gathered
from pipeline.run.session import Run
from tests.pipeline.run.small_runs import N_FILMS, films_in, start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films_in(tmp_path_factory.mktemp("films"))


def test_shards_hold_what_is_selected_after_a_further_crawl_that_brought_nothing(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further: list[Wanted | None] = [Wanted({}, "clips"), None]

    def brings_nothing(run: Run, wanted: Wanted, gathered: Gathered) -> Line:
        gathered.is_over = True
        yield from ()

    monkeypatch.setattr(road, "wanted_more", lambda run, selection: further.pop(0))
    monkeypatch.setattr(road, "crawl", brings_nothing)
    # Each of 15 categories has a share of one clip until it is known that the others have none.
    delivered = start(tmp_path, films, total=15)

    assert len(further) == 1, "there was a further crawl"
    selected = pq.read_table(tmp_path / "selection.parquet").column("clips_kept").to_pylist()
    n_in_shards = delivered.manifest.head["totals"]["samples"]
    assert sum(len(clips) for clips in selected) == n_in_shards == delivered.balance.clips_kept == N_FILMS
    assert delivered.exit_code == ExitCode.INCOMPLETE, "far fewer than was asked"
    status = read_run_status(Store(str(tmp_path)))
    assert status is not None and status.exit_code == ExitCode.INCOMPLETE
    assert status.detail.startswith("far short of what was asked"), "the status ends as the command does"

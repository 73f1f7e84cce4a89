"""A rehearsal is a whole run: nothing is missing at its end, and one that was killed ends with the same bytes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.rehearsal import Found, rehearse
from bench.world.distribution import Distribution, read_distribution
from pipeline.engine.store.store import Store

REPO = Path(__file__).resolve().parents[2]
N_VIDEOS, N_WORKERS = 60, 12
SMALL = {"batches_under_way": 2, "batch_videos": 16, "batch_candidates": 64}
SIMPLE = {"largest_category": 1.0, "clips_spread": 1.0}
"""One category: a crawl of a few rounds, as of a large data set; some videos are much longer than the others."""
CALM = {"restarts": 0, "lost": 0.0, "node_hours": 1e6, "straggling": 0.0}
SEEDED = (
    "rounds",
    "batches",
    "generations",
    "shards",
    "selection.parquet",
    "balance.json",
    "manifest.parquet",
    "index",
)
KILLED = (
    "import sys; from pathlib import Path; from tests.bench.test_rehearsal import run; "
    "run(Path(sys.argv[1]), kill_after=int(sys.argv[2]))"
)


def run(folder: Path, *, kill_after: int = 0, **facts: float) -> Found:
    paper: Distribution = replace(read_distribution("paper"), **SIMPLE, **facts)
    return rehearse(paper, N_VIDEOS, N_WORKERS, folder, kill_after=kill_after, **SMALL)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] in SEEDED
    }


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    folder = tmp_path_factory.mktemp("calm")
    return folder, run(folder, **CALM)


@pytest.mark.long
def test_a_run_that_is_killed_started_again_and_loses_workers_ends_with_the_bytes_of_a_calm_one(
    calm: tuple[Path, Found], tmp_path: Path
) -> None:
    command, environment = [sys.executable, "-c", KILLED, str(tmp_path), "40"], os.environ | {"PYTHONPATH": str(REPO)}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert len(Store(str(tmp_path)).committed("extract")) > 0
    found = run(tmp_path, restarts=1, lost=0.03, straggling=0.1, node_hours=1e6)

    assert found.facts["missing"] == []
    assert found.facts["ends"]["lost"] > 0
    assert len(found.facts["restarts_cpu_s"]) == 2
    assert contents(tmp_path) == contents(calm[0])


def test_a_rehearsal_makes_what_was_wanted_and_tells_what_its_driver_cost(calm: tuple[Path, Found]) -> None:
    facts, last = calm[1].facts, calm[1].samples[-1]

    assert facts["missing"] == []
    assert 0.8 * N_VIDEOS < last.n_videos < 1.6 * N_VIDEOS
    assert facts["candidates"] / facts["videos"] == pytest.approx(4.2, rel=0.25)
    assert 0 < facts["busy"] <= 1
    assert last.loop_s > 0 and last.plans_s > 0 and last.n_requests > 0
    assert facts["standstill_p99_s"] <= facts["standstill_longest_s"]

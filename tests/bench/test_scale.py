"""The bench of global steps draws directories that its steps can read, as a run leaves them half-way."""

from pathlib import Path

from bench.scale import CLIPS_A_VIDEO, STEPS, make_store, measured
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import check_accounts

N_VIDEOS = 24


def test_every_step_runs_on_a_drawn_directory(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_store(store, N_VIDEOS)

    assert {gap.stage for gap in check_accounts(store).gaps} <= {"balance", "selection"}
    assert store.count_rows("packs") == N_VIDEOS * CLIPS_A_VIDEO
    for step in STEPS:
        assert measured(step, tmp_path)["cpu_s"] > 0

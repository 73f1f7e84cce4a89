"""The bench of global steps measures what it says: whole stores, every request once, growth that nothing hides."""

from pathlib import Path

import pytest

from bench.scale import FULL_SIZE, Cost, Results
from bench.scaling.growth import Growth, grown_to, growth_of
from bench.scaling.steps import config_of
from bench.scaling.stores import BATCH_VIDEOS, add_batch, make_store
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import unit_gaps


def test_a_store_holds_what_its_commits_say_and_a_row_a_clip_tried(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    make_store(store, config_of(store), 20)
    assert not list(unit_gaps(store))
    assert store.read_table("videos", ["video_id"]).num_rows == 20
    packs = store.read_table("packs", ["video_id"])
    clips = store.read_table("clips", ["video_id"])
    n_tried = len(set(packs.column("video_id").to_pylist()))
    assert n_tried <= 20
    assert packs.num_rows == clips.num_rows // 20 * n_tried


def test_a_batch_that_is_added_is_all_that_a_warm_driver_reads(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    make_store(store, config_of(store), 20)
    followers = [Follower(store, table, ["video_id"]) for table in ("videos", "clips")]
    for follower in followers:
        assert list(follower.new())
    for _ in range(2):
        add_batch(store)
        new = [{i for rows in follower.new() for i in rows.column("video_id").to_pylist()} for follower in followers]
        assert [len(ids) for ids in new] == [BATCH_VIDEOS, BATCH_VIDEOS]


@pytest.mark.parametrize(("before", "last", "power"), [(10.0, 30.0, 1.0), (10.0, 90.0, 2.0), (5.0, 5.0, 0.0)])
def test_of_two_sizes_the_power_is_that_of_the_growth(before: float, last: float, power: float) -> None:
    assert growth_of((1000, 3000), (before, last)).power == pytest.approx(power)


@pytest.mark.parametrize(("fixed", "power"), [(0.0, 1.0), (250.0, 1.0), (3.0, 1.3), (1000.0, 0.7)])
def test_a_fixed_part_does_not_hide_the_power_of_what_grows(fixed: float, power: float) -> None:
    sizes = (1_000, 3_000, 10_000, 30_000)
    growth = growth_of(sizes, [fixed + n**power / 50 for n in sizes])
    assert growth.power == pytest.approx(power, abs=0.02)
    assert growth.fixed == pytest.approx(fixed, rel=0.05, abs=0.5)


def test_what_does_not_grow_or_is_noise_has_no_power() -> None:
    assert growth_of((1_000, 3_000, 10_000), (7, 7, 7)) == Growth(7, 0.0, 0.0)
    assert growth_of((1_000, 3_000, 10_000), (0.01, 0.02, 0.04), least=0.05).power == 0.0
    assert growth_of((1_000, 3_000, 10_000), (9.0, 8.0, 7.0)).factor == 0.0
    assert growth_of((1_000, 3_000, 10_000), (276.0, 276.2, 282.0)).power > 2
    assert growth_of((1_000, 3_000, 10_000), (276.0, 276.2, 282.0), noise=0.03).power == 0.0
    assert growth_of((1_000, 3_000, 10_000), (276.0, 296.0, 366.0), noise=0.03).power == 1.0


def test_a_fixed_part_does_not_hide_linear_growth() -> None:
    assert grown_to(FULL_SIZE, (1000, 2000), (101.0, 102.0)) == pytest.approx(100 + FULL_SIZE / 1000)


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(step: str, store: Store, n_videos: int) -> Cost:
        asked.append(step)
        return Cost(len(asked), 300, 250, 7, 7, 9, 1.0, "exit 1: no word" if step == "why" else "")

    monkeypatch.setattr("bench.scale._in_a_process", measured)
    results, store = Results(tmp_path / "costs.jsonl", n_runs=2), Store(str(tmp_path / "out"))
    assert results.cost("disk", "status", store, 20).cpu_s == 1
    assert results.cost("disk", "status", store, 20).cpu_s == 1
    assert asked == ["status", "status"]
    for _ in range(2):
        assert results.cost("disk", "why", store, 20).error
    assert asked[2:] == ["why"] * 4, "a step that failed is tried again"

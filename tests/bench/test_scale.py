"""The bench of global steps measures what it says: whole stores, every request once, growth that nothing hides."""

from collections import Counter
from pathlib import Path

import pytest

from bench.scale import FULL_SIZE, Cost, Results
from bench.scaling.growth import Growth, grown_to, growth_of
from bench.scaling.steps import config_of
from bench.scaling.stores import BATCH_VIDEOS, add_batch, make_store
from bench.world.distribution import read_distribution
from bench.world.videos import World
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.merge import MergeSizes, plan_merge
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import check_accounts
from pipeline.outdir.tombstones import read_tombstones

RESTARTS = World(read_distribution("restarts"), 100)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("stores") / "out"))
    make_store(store, config_of(store), RESTARTS)
    return store


def test_a_store_holds_what_its_commits_say_and_lacks_nothing_but_a_selection(made: Store) -> None:
    assert {gap.stage for gap in check_accounts(made).gaps} <= {"balance", "selection"}
    n_videos = made.count_rows("videos")
    assert n_videos == pytest.approx(100, rel=0.3)
    assert made.read_rejects(["stage"]).column("stage").to_pylist().count("extract") / n_videos > 2.5
    packs, clips = (Counter(made.read_table(name, ["video_id"]).column(0).to_pylist()) for name in ("packs", "clips"))
    assert packs and all(n == clips[video_id] for video_id, n in packs.items())


def test_a_store_is_as_a_run_leaves_it(made: Store) -> None:
    head = read_head(made)[0]
    assert plan_merge(made, MergeSizes()) is None
    assert made.loose_parts(head, "clips") and head.of("clips")
    assert {row["attempt"] for row in made.read_table("candidates", ["attempt"]).to_pylist()} == {1, 2}
    assert len(read_tombstones(made).plain_ids()) == 100_000


def test_a_batch_that_is_added_is_all_that_a_warm_driver_reads(made: Store) -> None:
    followers = [Follower(made, table, ["video_id"]) for table in ("videos", "clips")]
    for follower in followers:
        assert list(follower.new())
    for _ in range(2):
        add_batch(made, RESTARTS)
        new = [{i for rows in follower.new() for i in rows.column("video_id").to_pylist()} for follower in followers]
        assert new[1] <= new[0] and len(new[1]) == pytest.approx(BATCH_VIDEOS, rel=0.3)


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

    def measured(step: str, store: Store, n_videos: int, world: str) -> Cost:
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

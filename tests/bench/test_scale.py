"""The bench of global steps measures what it says: whole stores, every request once, growth that nothing hides."""

from collections import Counter

import pytest

from bench.scaling.growth import growth_of
from bench.scaling.steps import config_of
from bench.scaling.stores import make_store
from bench.world.distribution import read_distribution
from bench.world.videos import World
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import check_accounts

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


@pytest.mark.parametrize(("fixed", "power"), [(0.0, 1.0), (250.0, 1.0), (3.0, 1.3), (1000.0, 0.7)])
def test_a_fixed_part_does_not_hide_the_power_of_what_grows(fixed: float, power: float) -> None:
    sizes = (1_000, 3_000, 10_000, 30_000)
    growth = growth_of(sizes, [fixed + n**power / 50 for n in sizes])
    assert growth.power == pytest.approx(power, abs=0.02)
    assert growth.fixed == pytest.approx(fixed, rel=0.05, abs=0.5)

"""In the imagined category a crawl ends short without grown searches, and has all it wants with them."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import reach
from bench.world.distribution import read_distribution
from bench.world.videos import World
from pipeline.engine.store.store import Store

N_VIDEOS = 800


def test_grown_searches_fill_what_queries_and_channels_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SUBJECTS", 300)
    of = replace(read_distribution("paper"), largest_category=1.0, largest_channel=30, results_a_query=10)
    site = reach.Site(World(of, N_VIDEOS))
    without, grown = (reach.Crawl(site, Store(str(tmp_path / name))) for name in ("without", "grown"))
    without.run(N_VIDEOS, grows=False)
    grown.run(N_VIDEOS, grows=True)
    assert without.n_kept < 0.8 * N_VIDEOS
    assert grown.n_kept >= N_VIDEOS
    assert "grown 0" not in reach.lines(grown, N_VIDEOS, grows=True, cpu_s=0.0)[-1]

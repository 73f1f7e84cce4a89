"""How many candidates a crawl looks at: what is estimated beside what a crawl of the mini-YouTube does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniyoutube.big_catalogue import a_video
from miniyoutube.catalogue import Catalogue, cast
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.plan import ANY, MAX_PER_CHANNEL, MOST_GROWN, Wanted
from pipeline.run.looks import looks_of, n_within_reach, planned_looks, reach_of
from tests.pipeline.crawl.site import Road, config_for

EDUCATION, MUSIC = 27, 10


def test_a_crawl_looks_at_as_many_candidates_as_are_estimated(tmp_path: Path) -> None:
    """Every second video has no captions; a quota of 15 clips, a clip a video, and the reserve."""
    slots = [(category, n) for category in (EDUCATION, MUSIC) for n in range(70)]
    videos = [cast(a_video(0, slot, 8), "no_captions" if slot[1] % 2 else "good") for slot in slots]
    wanted = Wanted({EDUCATION: 15.0, MUSIC: 10.0})
    with MiniYouTube(Catalogue(tuple(videos)), draw="lazily") as site:
        config = config_for(site, categories=(EDUCATION, MUSIC))
        road = Road.at(tmp_path, config).crawl(wanted.quotas)
    looked = len(road.store.read_table("candidates"))
    planned = planned_looks(config, wanted, 0.5)
    assert looked == pytest.approx(sum(planned.values()), rel=0.1)
    assert looked > 1.15 * 2 * 25  # the quotas alone take 50


@given(st.floats(0.05, 8.0), st.floats(1.0, 1e4), st.floats(0.0, 2.0))
def test_the_quotas_and_the_reserve_are_covered_with_little_beyond(per: float, quota: float, reserve: float) -> None:
    config = CrawlConfig(categories=(EDUCATION,), reserve=reserve)
    (n,) = planned_looks(config, Wanted({EDUCATION: quota}), per).values()
    needed = quota * (1 + reserve) / per
    assert n * per >= quota * (1 + reserve) * (1 - 1e-9)
    assert n <= 1.05 * needed + 10


def test_a_key_spares_what_it_decides_until_its_units_are_used_up() -> None:
    without = looks_of(1000, 200, 100, api_share=0.0, api_units=10)
    assert (without.days, without.n_decided, without.n_at_the_site) == (12.0, 0.0, 1000.0)
    enough = looks_of(1000, 200, 100, api_share=0.5, api_units=10)
    assert (enough.days, enough.n_decided) == (7.0, 500.0)
    few = looks_of(1000, 200, 100, api_share=0.5, api_units=1)  # 50 candidates a day
    assert few.days == pytest.approx(1200 / 125)
    assert few.n_decided == pytest.approx(0.5 * 50 * few.days)
    assert few.n_at_the_site + few.n_fetches == pytest.approx(100 * few.days)


def test_sources_reach_as_far_as_their_lists_and_the_channels_of_kept_videos() -> None:
    config = CrawlConfig(categories=(EDUCATION, MUSIC), queries={EDUCATION: ("a", "b"), MUSIC: ("c",)})
    reach = reach_of(config, 4.0)
    assert (reach[EDUCATION].n_lists, reach[EDUCATION].n_results) == (2, 1200)
    assert reach[EDUCATION].n_with_channels == 1200 + 300 * MAX_PER_CHANNEL
    assert reach[EDUCATION].n_with_words == (1200 + 600 * MOST_GROWN) * (1 + MAX_PER_CHANNEL / 4)
    alone = reach_of(config.model_copy(update={"grow_from_channels": False, "grow_from_words": False}), 4.0)
    assert [one.n_with_words for one in alone.values()] == [one.n_results for one in alone.values()] == [0, 1200, 600]
    assert n_within_reach({ANY: 0, EDUCATION: 1200, MUSIC: 600}, {EDUCATION: 1200, MUSIC: 600}) == 2
    assert n_within_reach({ANY: 0, EDUCATION: 1200, MUSIC: 600}, {EDUCATION: 1200, MUSIC: 601}) == 1
    assert reach_of(config.model_copy(update={"sources": ("lists",)}), 4.0) == {}

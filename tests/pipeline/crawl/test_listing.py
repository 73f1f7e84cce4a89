"""Listing: an answer without a result is not the end of a search."""

from pathlib import Path

from manifests.reasons import Reason
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for

EDUCATION = 27


def test_a_search_without_a_result_is_not_at_its_end(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        site.misbehave(Fault("search", "unknown_layout"))
        config = config_for(site, categories=(EDUCATION,), queries={EDUCATION: ("lecture",)})
        road = Road.at(tmp_path, config).crawl({EDUCATION: 10.0})
    sources = road.store.read_table("sources").to_pylist()
    assert sources
    assert not any(row["exhausted"] for row in sources)
    assert {row["reason"] for row in sources} == {Reason.BAD_ANSWER}

"""The client of the Data API against its stand-in: what it asks, what it believes, and whom it blames."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.reasons import Reason
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.engine.work.executor import SharedHere
from pipeline.engine.work.unit import StopRun
from pipeline.site.data_api import DataApi, NotNow
from pipeline.site.politeness import Politeness
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.site.api import KEY, with_key


@pytest.fixture
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each(("private",) + ("also_1080p",) * 60), draw="lazily") as site:
        yield site


def api_of(site: MiniYouTube, folder: Path) -> DataApi:
    config = with_key(site, folder)
    return DataApi(config, SharedHere(Politeness(config.politeness, {"one": 1.0})))


def test_a_request_has_fifty_ids_and_costs_a_unit(site: MiniYouTube, tmp_path: Path) -> None:
    ids = [video.video_id for video in site.catalogue.videos][:50]
    with api_of(site, tmp_path) as api:
        items, is_whole = api.videos(ids)
    assert is_whole
    assert [item["id"] for item in items] == [i for i in ids if site.catalogue.by_id[i].behaviour != "private"]
    (asked,) = site.log.of("data_api")
    assert asked.host == "www.googleapis.com"
    assert site.site.data_api.used == {KEY: 1}


def test_nothing_of_an_identity_but_its_address_reaches_the_api(site: MiniYouTube, tmp_path: Path) -> None:
    with api_of(site, tmp_path) as api:
        api.videos(["a" * 11])
    (asked,) = site.log.of("data_api")
    assert asked.identity == "one"
    assert "visitor" not in asked.query and asked.visitor == ""


def test_a_redirect_is_not_followed(site: MiniYouTube, tmp_path: Path) -> None:
    site.misbehave(Fault("data_api", "redirect", location="https://example.com/"))
    with api_of(site, tmp_path) as api, pytest.raises(NotNow):
        api.videos(["a" * 11])
    assert site.log.refused_hosts() == []


def test_one_failure_pauses_the_api_for_everybody(site: MiniYouTube, tmp_path: Path) -> None:
    site.misbehave(Fault("data_api", "rateLimitExceeded", requests=1))
    with api_of(site, tmp_path) as api:
        for _ in range(2):
            with pytest.raises(NotNow):
                api.videos(["a" * 11])
    assert len(site.log.of("data_api")) == 1


def test_a_key_that_the_site_does_not_know_stops_the_run(site: MiniYouTube, tmp_path: Path) -> None:
    with api_of(site, tmp_path) as api:
        site.site.data_api.units = {}
        with pytest.raises(StopRun) as stopped:
            api.videos(["a" * 11])
    assert stopped.value.reason is Reason.BAD_KEY
    assert "API_KEY_INVALID" in stopped.value.detail and KEY not in stopped.value.detail

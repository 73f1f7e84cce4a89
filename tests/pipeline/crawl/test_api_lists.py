"""Channels and playlists listed by the Data API: the same videos, and no request to the site."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from miniyoutube.catalogue import Playlist
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.api_lists import list_by_api
from pipeline.crawl.listing import ListStage
from pipeline.crawl.plan import RoundPlan
from pipeline.crawl.sources import Ask
from pipeline.crawl.sources.site_lists import api_channel
from pipeline.engine.work.executor import SharedHere
from pipeline.engine.work.unit import Output
from pipeline.site.politeness import Politeness
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for
from tests.pipeline.site.api import KEY, with_key

ANY = -1


@pytest.fixture
def site() -> Iterator[MiniYouTube]:
    """A site with a channel of 121 videos, all of which are in a playlist too."""
    catalogue = one_of_each(("private",) + ("also_1080p",) * 119)
    channel = catalogue.videos[0].channel
    videos = tuple(replace(video, channel=channel) for video in catalogue.videos)
    playlist = Playlist("PL" + "x" * 32, "All", channel, tuple(video.video_id for video in videos))
    with MiniYouTube(replace(catalogue, videos=videos, playlists=(playlist,)), draw="lazily") as site:
        yield site


def listing(config: CrawlConfig, folder: Path, ask: Ask) -> Output:
    """What the list stage makes of an ask."""
    polite = SharedHere(Politeness(config.politeness, {"one": 3.6e6}))
    stage = ListStage(config, polite, RoundPlan(0, (ask,)))
    road = Road.at(folder / "out", config)
    (unit,) = stage.units(road.store)
    return stage.process(unit, road.context())


def ids(made: Output) -> list[str]:
    return [row["video_id"] for row in made.rows["listings"]]


@pytest.mark.parametrize("up_to", [60, 120, 240])
@pytest.mark.parametrize("source", ["channel", "playlist"])
def test_the_api_lists_what_the_site_lists(site: MiniYouTube, tmp_path: Path, source: str, up_to: int) -> None:
    channel = site.catalogue.videos[0].channel
    ask = Ask(source, channel.handle if source == "channel" else "PL" + "x" * 32, ANY, up_to)
    by_site = listing(config_for(site), tmp_path, ask)
    site.log.clear()
    by_api = listing(with_key(site, tmp_path), tmp_path, ask)
    assert ids(by_api) == ids(by_site)
    assert by_api.facts == by_site.facts
    assert [row["position"] for row in by_api.rows["listings"]] == [*range(min(up_to, 121))]
    assert {row["title"] for row in by_api.rows["listings"]} == {""}  # what the API tells is not kept
    assert {request.kind for request in site.log} == {"data_api"}
    assert site.site.data_api.used[KEY] == min(up_to, 121) // 50 + 1 + (source == "channel")


@pytest.mark.parametrize("effect", ["quotaExceeded", "backendError", "playlistNotFound", "html"])
def test_what_the_api_does_not_list_the_site_does(site: MiniYouTube, tmp_path: Path, effect: str) -> None:
    site.misbehave(Fault("data_api", effect, after=2))
    made = listing(
        with_key(site, tmp_path), tmp_path, Ask("channel", site.catalogue.videos[0].channel.handle, ANY, 240)
    )
    assert len(ids(made)) == 121
    assert site.log.of("browse")


def test_a_page_without_ids_is_not_the_end_of_a_list_but_three_are(site: MiniYouTube, tmp_path: Path) -> None:
    ask = Ask("playlist", "PL" + "x" * 32, ANY, 240)
    config = with_key(site, tmp_path)
    site.misbehave(Fault("data_api", "no_ids", requests=1))
    assert len(ids(listing(config, tmp_path, ask))) == 121 - 50
    site.misbehave(Fault("data_api", "no_ids"))
    assert listing(config, tmp_path, ask).facts == {"exhausted": True, "reason": ""}
    assert not site.log.of("browse")


def test_searches_are_left_to_the_site(site: MiniYouTube, tmp_path: Path) -> None:
    config = with_key(site, tmp_path)
    polite = SharedHere(Politeness(config.politeness, {"one": 1.0}))
    assert list_by_api(Ask("search", "lecture", ANY, 60), config, polite) is None
    assert site.log.of("data_api") == []


CHANNEL = "UC" + "a" * 22


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (CHANNEL, {"id": CHANNEL}),
        ("@some.one", {"forHandle": "@some.one"}),
        (f"https://www.youtube.com/channel/{CHANNEL}/videos", {"id": CHANNEL}),
        ("https://m.youtube.com/@some.one", {"forHandle": "@some.one"}),
        ("https://www.youtube.com/user/someone", {"forUsername": "someone"}),
        ("https://www.youtube.com/c/someone", None),
        ("someone", None),
    ],
)
def test_a_channel_is_asked_for_by_what_is_known_of_it(given: str, asked: dict[str, str] | None) -> None:
    assert api_channel(given) == asked

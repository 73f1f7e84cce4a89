"""Listing: an answer without a result is not the end of a search."""

from datetime import datetime
from pathlib import Path

import pytest

from manifests.reasons import Reason
from miniyoutube.catalogue import Catalogue, Playlist
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


def test_an_entry_whose_video_the_list_calls_gone_costs_no_request(tmp_path: Path) -> None:
    videos = one_of_each(("listed_deleted", "listed_private")).videos
    playlist = Playlist("PL" + "x" * 32, "Mine", videos[0].channel, tuple(video.video_id for video in videos))
    with MiniYouTube(Catalogue(videos, (playlist,)), draw="lazily") as site:
        config = config_for(site, sources=("playlist",), playlists={-1: (playlist.playlist_id,)})
        road = Road.at(tmp_path, config).crawl({EDUCATION: 10.0})
        gone = {video.behaviour: video.video_id for video in site.catalogue.videos[1:]}
        asked = site.log.per_video()
    assert {name: road.rejects[video_id]["reason"] for name, video_id in gone.items()} == {
        "listed_deleted": Reason.UNAVAILABLE,
        "listed_private": Reason.PRIVATE,
    }
    assert not asked.keys() & set(gone.values())


def test_a_premiere_of_a_listing_is_due_when_it_begins(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("upcoming",)), draw="lazily") as site:
        road = Road.at(tmp_path, config_for(site)).crawl({EDUCATION: 10.0})
        [reject] = road.rejects.values()
    assert reject["reason"] == Reason.UPCOMING
    assert datetime.fromisoformat(reject["next_try_at"]).timestamp() == pytest.approx(4102444800, abs=5)


def test_a_search_that_repeats_itself_ends_at_the_first_page_without_news(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",) * 5), draw="lazily", page_size=3) as site:
        site.misbehave(Fault("search", "repeat"))
        config = config_for(site, queries={EDUCATION: ("education",)}, grow_from_channels=False)
        road = Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
        assert len(site.log.of("search")) == 2
    [source] = road.store.read_table("sources").to_pylist()
    assert (source["n_listed"], source["exhausted"], source["reason"]) == (3, True, "")


def test_a_channel_without_a_videos_tab_is_at_its_end(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        site.misbehave(Fault("browse", "no_videos_tab"))
        channel = site.catalogue.videos[0].channel.channel_id
        config = config_for(site, sources=("channel",), channels={-1: (channel,)})
        road = Road.at(tmp_path, config).crawl({EDUCATION: 10.0})
        assert len(site.log.of("browse")) == 1
    [source] = road.store.read_table("sources").to_pylist()
    assert (source["exhausted"], source["reason"]) == (True, Reason.UNAVAILABLE)
    assert "does not have a videos tab" in source["detail"]

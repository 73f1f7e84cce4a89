"""The demo: unequal supply, named troubles, words that come back; an ordinary run, pointed at it and nowhere else."""

from __future__ import annotations

from pathlib import Path

from manifests.categories import load_categories
from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import expected_media
from miniyoutube.demo import DEMO_SUPPLY, demo_catalogue, demo_config, pointed_at
from miniyoutube.server import MiniYouTube

CATEGORY_IDS = {category.id for category in load_categories()}


def test_the_demo_has_a_few_dozen_videos_over_all_categories_in_unequal_supply() -> None:
    catalogue = demo_catalogue()
    assert 36 <= len(catalogue.videos) <= 48
    assert {video.category_id for video in catalogue.videos} == CATEGORY_IDS
    assert set(DEMO_SUPPLY) == CATEGORY_IDS
    assert len(set(DEMO_SUPPLY.values())) > 2
    assert all(45 <= video.duration_s <= 75 for video in catalogue.videos)
    by_category: dict[int, set[str]] = {category_id: set() for category_id in CATEGORY_IDS}
    for video in catalogue.videos:
        by_category[video.category_id].add(video.channel.channel_id)
    assert all(len(channels) >= 2 for channels in by_category.values())


def test_each_demo_video_can_be_found_by_query_channel_or_playlist() -> None:
    catalogue = demo_catalogue()
    found = {v.video_id for queries in catalogue.queries.values() for q in queries for v in catalogue.search(q)}
    hidden = {v.video_id for v in catalogue.videos} - found
    channels_found = {catalogue.by_id[video_id].channel.channel_id for video_id in found}
    assert hidden, "some are reached through their channel alone"
    assert all(catalogue.by_id[video_id].channel.channel_id in channels_found for video_id in hidden)
    assert {playlist.video_ids for playlist in catalogue.playlists}


def test_the_demo_draws_only_what_will_be_asked_for() -> None:
    drawn = {rendition.script for rendition in expected_media(demo_catalogue().videos)}
    for video in demo_catalogue().videos:
        if video.behaviour in ("private", "removed", "no_captions", "only_480p", "non_english", "live"):
            assert video.footage not in drawn
        if video.behaviour in ("good", "short_media", "bot_check_once"):
            assert video.footage in drawn


def test_every_identity_asks_the_embedded_site_and_keeps_its_other_settings(tmp_path: Path) -> None:
    config = demo_config(tmp_path / "out", None, ["seed=7"])
    with MiniYouTube(a_catalogue(2, misbehaving=0)) as site:
        pointed = pointed_at(site, config)
        pool = pointed.crawl.pool()
        assert {one.proxy.get_secret_value() for one in pool if one.proxy} == {site.proxy_url}
    assert pool and all(one.proxy for one in pool) and pointed.seed == 7
    assert pointed.crawl.ydl_opts.get_secret_value()["nocheckcertificate"] is True


def test_the_first_batch_of_media_fills_a_shard_so_that_the_manifest_comes_early(tmp_path: Path) -> None:
    config = demo_config(tmp_path / "out", None, [])
    n_good = sum(video.behaviour == "good" for video in demo_catalogue().videos)
    n_clips = config.balance.batch_videos * config.balance.total / n_good

    assert n_clips * (1 - config.shards.split.val) > 2 * config.shards.max_samples, (
        "some clips are rejected, and of a few videos the draw may hold half out"
    )

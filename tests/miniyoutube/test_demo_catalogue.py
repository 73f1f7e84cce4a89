"""The demo's videos: unequal supply, named troubles, words that come back."""

from __future__ import annotations

from collections import Counter

from manifests.categories import load_categories
from miniyoutube.catalogue import expected_media
from miniyoutube.demo_catalogue import DEMO_MISBEHAVING, DEMO_SUPPLY, demo_catalogue
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.script import shots_of

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


def test_the_demo_misbehaves_in_the_ways_it_names() -> None:
    behaviours = Counter(v.behaviour for v in demo_catalogue().videos if v.behaviour != "good")
    assert behaviours == Counter(name for _, name in DEMO_MISBEHAVING)
    kept = [v for v in demo_catalogue().videos if BEHAVIOURS[v.behaviour].expected.kept_in_the_end]
    assert {video.category_id for video in kept} == CATEGORY_IDS, "every category ends with a video at least"


def test_each_demo_video_can_be_found_by_query_channel_or_playlist() -> None:
    catalogue = demo_catalogue()
    found = {v.video_id for queries in catalogue.queries.values() for q in queries for v in catalogue.search(q)}
    hidden = {v.video_id for v in catalogue.videos} - found
    channels_found = {catalogue.by_id[video_id].channel.channel_id for video_id in found}
    assert hidden, "some are reached through their channel alone"
    assert all(catalogue.by_id[video_id].channel.channel_id in channels_found for video_id in hidden)
    assert {playlist.video_ids for playlist in catalogue.playlists}


def test_every_scene_word_comes_in_several_videos_so_that_it_can_be_learnt() -> None:
    videos = demo_catalogue().videos
    words = Counter(
        word
        for video in videos
        for word in {
            w
            for shot in shots_of(video.script)
            for w in (shot.scene.background, shot.scene.colour, shot.scene.shape, shot.scene.motion)
        }
    )
    assert min(words.values()) >= 5


def test_the_demo_draws_only_what_will_be_asked_for() -> None:
    drawn = {rendition.script for rendition in expected_media(demo_catalogue().videos)}
    for video in demo_catalogue().videos:
        if video.behaviour in ("private", "removed", "no_captions", "only_480p", "non_english", "live"):
            assert video.footage not in drawn
        if video.behaviour in ("good", "short_media", "bot_check_once"):
            assert video.footage in drawn


def test_a_reupload_says_the_same_on_another_channel() -> None:
    catalogue = demo_catalogue()
    copy = next(video for video in catalogue.videos if video.behaviour == "reupload")
    original = catalogue.by_id[copy.copy_of]
    assert copy.script == original.script
    assert copy.channel != original.channel

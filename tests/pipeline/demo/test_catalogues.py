"""The demo's catalogue and the big one: what is in them, and that the same arguments give the same."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest

from manifests.categories import load_categories
from pipeline.demo.big_catalogue import a_catalogue, category_sizes, expected_ends, one_of_each, reachable
from pipeline.demo.catalogue import Catalogue, expected_media
from pipeline.demo.demo_catalogue import DEMO_MISBEHAVING, DEMO_SUPPLY, demo_catalogue
from pipeline.demo.misbehave import BEHAVIOURS
from pipeline.demo.script import sentences_of, shots_of

CATEGORY_IDS = {category.id for category in load_categories()}


@pytest.mark.parametrize("catalogue", [demo_catalogue(), a_catalogue(500), one_of_each()], ids=["demo", "big", "each"])
def test_ids_are_of_the_sites_own_form_and_unique(catalogue: Catalogue) -> None:
    ids = [video.video_id for video in catalogue.videos]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[\w-]{11}", video_id) for video_id in ids)
    for video in catalogue.videos:
        assert re.fullmatch(r"UC[\w-]{22}", video.channel.channel_id)
        assert re.fullmatch(r"@[\w.-]{3,30}", video.channel.handle)
        assert video.script.duration_ms == video.footage.duration_ms


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


def test_the_big_catalogue_is_unequal_and_a_third_of_it_misbehaves() -> None:
    catalogue = a_catalogue(2000)
    sizes = Counter(video.category_id for video in catalogue.videos)
    assert sum(sizes.values()) == 2000
    assert sizes == Counter(category_sizes(2000))
    assert max(sizes.values()) > 30 * min(sizes.values())
    bad = [video for video in catalogue.videos if video.behaviour != "good"]
    assert len(bad) == 667
    counts = Counter(video.behaviour for video in bad)
    assert set(counts) == {name for name, row in BEHAVIOURS.items() if not row.slow and name != "good"}
    assert all(n == 2 for name, n in counts.items() if BEHAVIOURS[name].expected.pauses)
    assert sum(BEHAVIOURS[name].expected.stage == "media" for name in counts) >= 8, "some only at the fetch"
    assert len({video.footage for video in catalogue.videos}) <= 8, "ids share media files"


def test_the_big_catalogues_words_differ_from_video_to_video() -> None:
    texts = Counter(" ".join(sentences_of(v.script)) for v in a_catalogue(1000).videos if v.behaviour != "reupload")
    assert max(texts.values()) <= 2
    assert all(texts), "every video says something"


def test_the_expected_ends_count_up() -> None:
    catalogue = a_catalogue(600)
    ends, kept = expected_ends(catalogue), reachable(catalogue)
    assert set(ends) == set(catalogue.by_id)
    assert sum(len(ids) for ids in kept.values()) == sum(end.kept_in_the_end for end in ends.values())


def test_the_same_arguments_give_the_same_catalogue() -> None:
    assert a_catalogue(200, seed=3) == a_catalogue(200, seed=3)
    assert a_catalogue(200, seed=3) != a_catalogue(200, seed=4)
    assert demo_catalogue(5).videos == demo_catalogue(5).videos


def test_a_search_gives_the_same_answer_each_time() -> None:
    catalogue = a_catalogue(300, misbehaving=0)
    query = catalogue.queries[25][0]
    assert catalogue.search(query) == catalogue.search(query.upper()) == a_catalogue(300, misbehaving=0).search(query)
    assert [v.video_id for v in catalogue.search(query)] != sorted(v.video_id for v in catalogue.search(query))


def test_uploads_are_sorted_by_date() -> None:
    for videos in a_catalogue(100).uploads.values():
        assert all(a.upload_date >= b.upload_date for a, b in pairwise(videos))

"""Catalogues: unique ids, the same answer each time; behaviours given to videos."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import Catalogue, Channel, Video, cast
from miniyoutube.demo import demo_catalogue
from miniyoutube.misbehave import BEHAVIOURS
from tests.miniyoutube.catalogues import one_of_each
from tests.miniyoutube.renditions import PLAIN


@pytest.mark.parametrize("catalogue", [demo_catalogue(), a_catalogue(500), one_of_each()], ids=["demo", "big", "each"])
def test_ids_are_of_the_sites_own_form_and_unique(catalogue: Catalogue) -> None:
    ids = [video.video_id for video in catalogue.videos]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[\w-]{11}", video_id) for video_id in ids)
    for video in catalogue.videos:
        assert re.fullmatch(r"UC[\w-]{22}", video.channel.channel_id)
        assert re.fullmatch(r"@[\w.-]{3,30}", video.channel.handle)
        assert video.script.duration_ms == video.footage.duration_ms


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


def test_renditions_keep_the_shape_of_the_picture() -> None:
    channel = Channel("UC" + "x" * 22, "@x", "X")
    portrait = Video("x" * 11, "t", channel, 1, PLAIN, PLAIN, width=720, height=1280)
    assert [(portrait.picture(s).width, portrait.picture(s).height) for s in (720, 480, 360)] == [
        (720, 1280),
        (480, 854),
        (360, 640),
    ]


FIRST, SECOND, *_ = a_catalogue(4, misbehaving=0).videos


@pytest.mark.parametrize("name", sorted(BEHAVIOURS))
def test_every_behaviour_can_be_given_and_keeps_the_video_its_id(name: str) -> None:
    made = cast(FIRST, name, another_category=17, original=SECOND)
    assert (made.video_id, made.behaviour, made.faults) == (FIRST.video_id, name, BEHAVIOURS[name].faults)


def test_a_reupload_says_and_shows_what_its_original_does() -> None:
    made = cast(FIRST, "reupload", original=SECOND)
    assert (made.copy_of, made.script, made.footage) == (SECOND.video_id, SECOND.script, SECOND.footage)
    with pytest.raises(ValueError, match="needs its original"):
        cast(FIRST, "reupload")

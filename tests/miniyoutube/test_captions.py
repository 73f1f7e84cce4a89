"""Caption tracks as the site lists them and as their addresses answer, read by yt-dlp and by the pipeline."""

from __future__ import annotations

import pytest

from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import Catalogue
from miniyoutube.media_cache import MediaCache
from miniyoutube.server import MiniYouTube
from tests.miniyoutube.catalogues import one_of_each
from tests.miniyoutube.client import extract, read_url


@pytest.mark.parametrize(
    ("behaviour", "manual", "automatic"),
    [
        ("automatic_only", [], ["en-orig", "en"]),
        ("regional_track", ["en-US"], ["en-orig", "en"]),
        ("named_track", ["en-nP7-2PuUl7o"], []),
        ("translated_only", ["es"], []),
        ("non_english", ["es"], ["es-orig", "es", "en"]),
        ("captions_locked", [], []),
        ("no_captions", [], []),
        ("captions_empty", ["en"], []),
    ],
)
def test_tracks_carry_the_keys_that_yt_dlp_makes_of_them(
    demo_cache: MediaCache, behaviour: str, manual: list[str], automatic: list[str]
) -> None:
    catalogue = one_of_each([behaviour])
    with MiniYouTube(catalogue, cache=demo_cache, draw="lazily") as site:
        info = extract(site, catalogue.videos[1].video_id)
    assert list(info["subtitles"]) == manual
    assert set(automatic) <= set(info["automatic_captions"])
    if not automatic:
        assert not info["automatic_captions"]


def test_an_english_track_by_machine_translation_says_so_in_its_address(demo_cache: MediaCache) -> None:
    catalogue = one_of_each(["non_english"])
    with MiniYouTube(catalogue, cache=demo_cache, draw="lazily") as site:
        tracks = extract(site, catalogue.videos[1].video_id)["automatic_captions"]
        assert "tlang=en" in tracks["en"][0]["url"]
        assert "tlang" not in tracks["es-orig"][0]["url"]
        english = read_url(site, tracks["en"][0]["url"]).decode()
        spanish = read_url(site, tracks["es-orig"][0]["url"]).decode()
    assert "wall" in english
    assert "fondo" in spanish


def test_translations_of_manual_tracks_appear_where_automatic_ones_are_asked_for(demo_cache: MediaCache) -> None:
    plain = a_catalogue(40, misbehaving=0)
    video = next(v for v in plain.videos if len(v.tracks) == 2)
    with MiniYouTube(Catalogue((video,)), cache=demo_cache, draw="lazily") as site:
        info = extract(site, video.video_id, writeautomaticsub=True)
    assert {"en-en", "de-en", "en-orig", "en"} <= set(info["automatic_captions"])

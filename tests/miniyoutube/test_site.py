"""What the embedded site refuses: were it to serve everything, tests of the crawl and the fetch would pass for nothing.

All that it gives, and how it misbehaves, is looked at by those tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yt_dlp

from miniyoutube.innertube import SIGNATURE_MARK
from miniyoutube.media_cache import MediaCache
from miniyoutube.server import MiniYouTube
from tests.miniyoutube.catalogues import one_of_each
from tests.miniyoutube.client import a_ydl, extract


@pytest.fixture
def site(demo_cache: MediaCache) -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each(["media_403_once"]), cache=demo_cache) as site:
        yield site


def test_a_media_address_serves_only_who_extracted_it_and_a_stale_one_nobody(site: MiniYouTube) -> None:
    good, once_refused = (video.video_id for video in site.catalogue.videos[:2])
    one, two = ({"proxy": site.proxy_url_of(name)} for name in ("one", "two"))
    formats = extract(site, good, **one)["formats"]
    stale = extract(site, once_refused, **one)["formats"][-1]["url"]
    extract(site, once_refused, **one)
    url = next(f["url"] for f in formats if f["format_id"] == "136")
    assert all(SIGNATURE_MARK in f["url"] for f in formats)
    with a_ydl(site, **one) as ydl:
        assert ydl.urlopen(url).read(4)
        with pytest.raises(yt_dlp.networking.exceptions.HTTPError, match="403"):
            ydl.urlopen(stale)
    with a_ydl(site, **two) as ydl, pytest.raises(yt_dlp.networking.exceptions.HTTPError):
        ydl.urlopen(url)


def test_another_host_is_refused_and_recorded(site: MiniYouTube) -> None:
    with a_ydl(site) as ydl, pytest.raises(yt_dlp.networking.exceptions.RequestError):
        ydl.urlopen("https://example.com/")
    assert site.log.refused_hosts() == ["example.com"]

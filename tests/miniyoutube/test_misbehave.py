"""Behaviours as the real yt-dlp meets them, and the book of faults; each of them: tests of the crawl and the fetch."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import yt_dlp
from hypothesis import given
from hypothesis import strategies as st

from miniyoutube.catalogue import Video
from miniyoutube.faults import Fault, FaultBook, SiteRequest
from miniyoutube.media_cache import MediaCache
from miniyoutube.server import MiniYouTube
from pipeline.media.ffmpeg import find_ffmpeg
from tests.miniyoutube.catalogues import one_of_each
from tests.miniyoutube.client import a_ydl, extract, fetch, watch_url


@pytest.fixture
def site(request: pytest.FixtureRequest, demo_cache: MediaCache) -> Iterator[MiniYouTube]:
    """A video of the behaviour that the test is about."""
    name = request.getfixturevalue("name")
    with MiniYouTube(one_of_each([name]), cache=demo_cache) as site:
        yield site


def the_video(site: MiniYouTube) -> Video:
    return site.catalogue.videos[1]


@pytest.mark.parametrize("name", ["media_403_once"])
def test_a_stale_address_stays_refused(site: MiniYouTube, name: str) -> None:
    video_id = the_video(site).video_id
    stale = extract(site, video_id)["formats"][-1]["url"]
    extract(site, video_id)
    with a_ydl(site) as ydl, pytest.raises(yt_dlp.networking.exceptions.HTTPError, match="403"):
        ydl.urlopen(stale)
    assert site.log.of("media")[-1].generation == 1


@pytest.mark.parametrize("name", ["broken_media"])
def test_broken_media_opens_and_has_decoder_errors(site: MiniYouTube, name: str, tmp_path: Path) -> None:
    path = fetch(site, the_video(site).video_id, tmp_path)
    _, n_errors = decode(path)
    assert n_errors > 0


@pytest.mark.parametrize("name", ["media_drip"])
def test_a_drip_never_trips_the_socket_limit(site: MiniYouTube, name: str, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    started = time.monotonic()

    def deadline(_: dict[str, Any]) -> None:
        if time.monotonic() > started + 2:
            raise Enough

    params = {"socket_timeout": 1, "progress_hooks": [deadline], "buffersize": 16, "noresizebuffer": True}
    with a_ydl(site, outtmpl=str(tmp_path / "x.%(ext)s"), **params) as ydl, pytest.raises(Enough):
        ydl.extract_info(watch_url(the_video(site).video_id))
    assert len(site.log.of("media")) == 1, "no timeout, so no second request"


@pytest.mark.parametrize("name", ["kids"])
def test_a_video_for_kids_plays_where_the_embedded_player_is_asked(site: MiniYouTube, name: str) -> None:
    assert extract(site, the_video(site).video_id)["formats"]
    with pytest.raises(yt_dlp.DownloadError, match="not available"):
        extract(site, the_video(site).video_id, js_runtimes={})


# --- the book of faults ---


def test_the_whole_site_may_misbehave_until_it_relents() -> None:
    book = FaultBook()
    book.misbehave(Fault("player", "bot_check"))
    assert book.meet(SiteRequest("player", "a"), ()) is not None
    assert book.meet(SiteRequest("watch", "a"), ()) is None
    book.relent()
    assert book.meet(SiteRequest("player", "a"), ()) is None


def test_one_video_may_be_healed_alone() -> None:
    book, faults = FaultBook(), (Fault("player", "private"),)
    book.relent("a")
    assert book.meet(SiteRequest("player", "a"), faults) is None
    assert book.meet(SiteRequest("player", "b"), faults) is not None


@given(after=st.integers(0, 5), lasts=st.integers(0, 5), n=st.integers(0, 15))
def test_a_fault_lasts_for_as_many_requests_as_it_says(after: int, lasts: int, n: int) -> None:
    book, fault = FaultBook(), Fault("media", "reset", requests=lasts, after=after)
    met = [book.meet(SiteRequest("media", "a", stream="video"), (fault,)) is not None for _ in range(n)]
    assert met == [after <= i < after + lasts for i in range(n)]


def decode(path: Path) -> tuple[int, int]:
    """Frames of the picture, and errors that ffmpeg reports on the way."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:v", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    with av.open(str(path)) as container:
        n_frames = container.streams.video[0].frames
    return n_frames, len(done.stderr.splitlines())

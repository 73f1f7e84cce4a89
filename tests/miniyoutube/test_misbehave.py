"""Each behaviour, as the real yt-dlp meets it: what it raises or returns, what was asked, whether a later try heals."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
import yt_dlp
from hypothesis import given
from hypothesis import strategies as st

from manifests.reasons import ReasonClass
from miniyoutube.catalogue import Video
from miniyoutube.faults import Fault, FaultBook, SiteRequest
from miniyoutube.media_cache import MediaCache
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.server import MiniYouTube
from pipeline.media.ffmpeg import find_ffmpeg
from tests.miniyoutube.catalogues import one_of_each
from tests.miniyoutube.client import Notes, a_ydl, extract, fetch, read_url, watch_url

NO_FORMATS = "No video formats found"
NOT_AVAILABLE = "Requested format is not available"


@dataclass(frozen=True)
class Met:
    """How an extraction ends: `error` is in yt-dlp's message ("" where it succeeds); `statuses` are seen on the way."""

    error: str = ""
    statuses: frozenset[int] = frozenset({200})
    warning: str = ""


AT_EXTRACTION: dict[str, Met] = {
    "private": Met("Private video. Sign in if you've been granted access"),
    "removed": Met("Video unavailable. This video has been removed"),
    "terminated": Met("account associated with this video has been terminated"),
    "copyright": Met("blocked it on copyright grounds"),
    "not_available": Met("Video unavailable. This video is not available"),
    "age_gate": Met("Sign in to confirm your age"),
    "geo": Met("not made this video available in your country"),
    "geo_copyright": Met("blocked it in your country on copyright grounds"),
    "legal": Met("not available on this country domain"),
    "listed_deleted": Met("This video has been removed"),
    "listed_private": Met("Private video"),
    "self_harm": Met("suicide or self-harm"),
    "inappropriate": Met("inappropriate or offensive to some audiences"),
    "rent": Met("Buy or rent"),
    "premium": Met("YouTube Premium"),
    "premiere": Met(NO_FORMATS),
    "upcoming_unmarked": Met("Premieres in 10 hours"),
    "members": Met("Join this channel"),
    "members_unmarked": Met("Join this channel"),
    "payment": Met("requires payment"),
    "drm": Met("DRM protected"),
    "live": Met(NO_FORMATS),
    "live_unmarked": Met(NO_FORMATS),
    "upcoming": Met("Premieres in 10 hours"),
    "bot_check_once": Met("Sign in to confirm you’re not a bot"),
    "session_limit_once": Met("This content isn't available, try again later"),
    "captcha_once": Met("requiring a captcha challenge"),
    "player_429_once": Met(NO_FORMATS, frozenset({200, 429}), "HTTP Error 429"),
    "watch_429_once": Met("", frozenset({200, 429}), "HTTP Error 429"),
    "player_403": Met(NO_FORMATS, frozenset({200, 403}), "HTTP Error 403"),
    "player_503_once": Met(NO_FORMATS, frozenset({200, 503}), "HTTP Error 503"),
    "player_503_retried": Met("", frozenset({200, 503}), "Retrying"),
    "player_reset_once": Met(NO_FORMATS, frozenset({200, 0})),
    "player_stall": Met(NO_FORMATS, frozenset({200, 0}), "timed out"),
    "player_html_once": Met(NO_FORMATS, warning="Failed to parse JSON"),
    "other_video_once": Met(NO_FORMATS, warning="Skipping player responses"),
    "watch_503_twice": Met("", frozenset({200, 503}), "HTTP Error 503"),
    "sabr": Met(NO_FORMATS, warning="missing a URL"),
    "only_480p": Met(NOT_AVAILABLE),
    "only_progressive": Met(NOT_AVAILABLE),
    "no_audio_format": Met(NOT_AVAILABLE),
    "music_premium": Met("only available to Music Premium members"),
    "sign_in": Met("Please sign in"),
    "not_on_this_app": Met("not available on this app"),
    "reload": Met("The page needs to be reloaded"),
    "processing": Met("processing this video"),
    "offline": Met("Offline."),
    "unheard_of": Met("The curtain has fallen"),
    "player_400": Met(NO_FORMATS, frozenset({200, 400}), "HTTP Error 400"),
    "joint_only": Met(NOT_AVAILABLE),
    "restricted": Met("Please check the Google Workspace administrator"),
    "error_153": Met("Error 153"),
}
"""Behaviours that show at extraction; every other one extracts without an error."""

AT_THE_FETCH: dict[str, str] = {
    "media_429_once": "HTTP Error 429",
    "media_403": "HTTP Error 403",
    "media_403_once": "HTTP Error 403",
    "media_404_once": "HTTP Error 404",
    "media_503": "Giving up after",
    "media_drop": "Giving up after",
    "media_html": "Postprocessing",
    "media_html_once": "Postprocessing",
    "media_empty": "Did not get any data blocks",
    "media_stall": "Giving up after",
    "media_redirect": "403",
}
"""Behaviours that fail a fetch, and what yt-dlp says of it."""

HARD_720P = "bv*[height=720][vcodec^=avc1][ext=mp4]+ba[ext=m4a]"


@pytest.fixture
def site(request: pytest.FixtureRequest, demo_cache: MediaCache) -> Iterator[MiniYouTube]:
    """A video of the behaviour that the test is about."""
    name = request.getfixturevalue("name")
    with MiniYouTube(one_of_each([name]), cache=demo_cache) as site:
        yield site


def the_video(site: MiniYouTube) -> Video:
    return site.catalogue.videos[1]


@pytest.mark.parametrize(
    "name", [n if n in AT_EXTRACTION or n == "good" else pytest.param(n, marks=pytest.mark.long) for n in BEHAVIOURS]
)  # those that extract like a good one are crawled and fetched in tests/pipeline/crawl and tests/pipeline/site
def test_extraction_meets_what_the_table_says(site: MiniYouTube, name: str) -> None:
    met = AT_EXTRACTION.get(name, Met())
    video, notes = the_video(site), Notes()
    params: dict[str, Any] = {"logger": notes, "socket_timeout": 1, "format": HARD_720P}
    if video.height != 720:
        del params["format"]
    if met.error:
        with pytest.raises(yt_dlp.DownloadError) as raised:
            extract(site, video.video_id, **params)
        assert met.error in str(raised.value)
    else:
        assert extract(site, video.video_id, **params)["id"] == video.video_id
    assert {r.status for r in site.log} == met.statuses
    assert met.warning in " ".join(notes.warnings)
    assert not site.log.of("media", "captions")
    assert site.log.refused_hosts() == []


@pytest.mark.long  # tests/pipeline/crawl/test_rounds.py keeps them at a later try
@pytest.mark.parametrize(
    "name", [name for name, row in BEHAVIOURS.items() if row.expected.heals and name in AT_EXTRACTION]
)
def test_what_heals_is_well_at_a_later_extraction(site: MiniYouTube, name: str) -> None:
    video_id = the_video(site).video_id
    for _ in range(3):
        try:
            info = extract(site, video_id)
        except yt_dlp.DownloadError:
            continue
        if info["categories"]:
            break
    assert {r.fault for r in site.log.of("player", "watch")} != {""}, "the fault was met"
    site.log.clear()
    assert extract(site, video_id)["categories"]
    assert {r.status for r in site.log} == {200}


@pytest.mark.parametrize("name", AT_THE_FETCH)
def test_a_fetch_fails_as_the_table_says(site: MiniYouTube, name: str, tmp_path: Path) -> None:
    with pytest.raises(yt_dlp.DownloadError, match=AT_THE_FETCH[name]):
        fetch(site, the_video(site).video_id, tmp_path, socket_timeout=1)


@pytest.mark.parametrize("name", ["media_429_once", "media_403_once", "media_404_once"])
def test_a_fetch_heals_after_a_new_extraction(site: MiniYouTube, name: str, tmp_path: Path) -> None:
    video_id = the_video(site).video_id
    with pytest.raises(yt_dlp.DownloadError):
        fetch(site, video_id, tmp_path)
    assert fetch(site, video_id, tmp_path).exists()


@pytest.mark.parametrize("name", ["media_403_once"])
def test_a_stale_address_stays_refused(site: MiniYouTube, name: str) -> None:
    video_id = the_video(site).video_id
    stale = extract(site, video_id)["formats"][-1]["url"]
    extract(site, video_id)
    with a_ydl(site) as ydl, pytest.raises(yt_dlp.networking.exceptions.HTTPError, match="403"):
        ydl.urlopen(stale)
    assert site.log.of("media")[-1].generation == 1


@pytest.mark.parametrize("name", ["media_503_retried", "media_reset_once", "media_drop_once"])
def test_a_small_trouble_is_overcome_within_one_fetch(site: MiniYouTube, name: str, tmp_path: Path) -> None:
    path = fetch(site, the_video(site).video_id, tmp_path)
    assert decode(path) == (the_video(site).footage.n_frames, 0)


@pytest.mark.parametrize("name", ["short_media", "short_audio"])
def test_a_short_file_is_a_success_to_yt_dlp(site: MiniYouTube, name: str, tmp_path: Path) -> None:
    video = the_video(site)
    path = fetch(site, video.video_id, tmp_path)
    n_frames, audio_s = 0, 0.0
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.stream.type == "video":
                n_frames += 1
            elif packet.pts is not None:
                audio_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
    assert (n_frames < video.footage.n_frames) is (name == "short_media")
    assert audio_s < video.duration_s * 0.75


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


@pytest.mark.parametrize("name", ["dubbed"])
def test_the_original_sound_is_chosen_before_the_dub(site: MiniYouTube, name: str) -> None:
    info = extract(site, the_video(site).video_id)
    assert {f["language"] for f in info["formats"] if f.get("acodec") not in (None, "none")} >= {"en", "de"}
    assert info["requested_formats"][1]["language"] == "en"


@pytest.mark.parametrize("name", ["live", "live_unmarked"])
def test_a_live_stream_shows_in_the_status_where_formats_may_lack(site: MiniYouTube, name: str) -> None:
    info = extract(site, the_video(site).video_id, ignore_no_formats_error=True)
    assert info["live_status"] == "is_live"


@pytest.mark.parametrize("name", ["captions_429_once", "captions_404"])
def test_a_caption_address_is_refused_for_ever_or_once(site: MiniYouTube, name: str) -> None:
    info = extract(site, the_video(site).video_id)
    url = info["automatic_captions"]["en-orig"][0]["url"]
    with pytest.raises(yt_dlp.networking.exceptions.HTTPError):
        read_url(site, url)
    if name == "captions_429_once":
        assert read_url(site, url)


def test_every_behaviour_is_named_in_a_test_or_extracts_cleanly() -> None:
    assert set(AT_EXTRACTION) | set(AT_THE_FETCH) <= set(BEHAVIOURS)
    for name, row in BEHAVIOURS.items():
        if row.expected.stage == "media" and name not in (
            "short_media",
            "short_audio",
            "broken_media",
            "media_drip",
            "trimmed",
            "shrinking",
            "hls_locked",
            "hls_gone",
            "reencoded",
        ):
            assert name in AT_THE_FETCH, name


def test_expected_ends_follow_the_reasons_own_classes() -> None:
    for name, row in BEHAVIOURS.items():
        expected = row.expected
        if expected.reason is None:
            assert not expected.pauses, name
        elif expected.heals or expected.pauses:
            assert expected.reason.class_ is ReasonClass.LATER, name


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


def test_watch_pages_asked_for_again_belong_to_the_same_extraction() -> None:
    book = FaultBook()
    assert [book.begin_extraction("a") for _ in range(3)] == [1, 1, 1]
    assert book.note_player("a") == 1
    assert book.begin_extraction("a") == 2
    assert book.begin_extraction("b") == 1


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

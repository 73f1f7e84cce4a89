"""Caption and media addresses are followed to the site's own hosts alone; a merge opens its two files alone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from yt_dlp.networking.common import Request
from yt_dlp.postprocessor.ffmpeg import FFmpegMergerPP
from yt_dlp.utils import PostProcessingError

from hdvila_testing.video import a_video
from manifests.reasons import Reason
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.site.failures import Evidence, Pause, classify
from pipeline.site.fetch import MERGE_INPUT
from pipeline.site.options import options_for
from pipeline.site.own_hosts import ForeignAddress, check_own
from pipeline.site.ytdlp import RecordingYoutubeDL, Session, no_token, open_site, read_caption
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import config_for

CAPTION = "https://www.youtube.com/api/timedtext?v=x&lang=en"


@pytest.mark.parametrize(
    "url", [CAPTION, "https://rr3---sn-x.googlevideo.com/videoplayback?x=1", "https://youtube.com:443/api/timedtext"]
)
def test_the_sites_own_addresses_pass(url: str) -> None:
    check_own(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://www.youtube.com/api/timedtext",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://www.youtube.com.evil.example/",
        "https://evilyoutube.com/",
        "https://www.youtube.com@evil.example/",
        "https://user:pass@www.youtube.com/",
        "https://www.youtube.com:8443/",
        "file:///etc/passwd",
        "data:text/plain,x",
        "https://[x",
        "",
    ],
)
def test_an_address_outside_the_sites_own_hosts_is_refused(url: str) -> None:
    with pytest.raises(ForeignAddress) as error:
        check_own(url)
    assert "pass" not in str(error.value).replace("/etc/passwd", "")
    found = classify(Evidence(error=error.value))
    assert (found.reason, found.pause) == (Reason.BAD_ANSWER, Pause.NONE)


@pytest.fixture
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as started:
        yield started


@pytest.fixture(params=["requests", "urllib"])
def ydl(site: MiniYouTube, request: pytest.FixtureRequest) -> Iterator[RecordingYoutubeDL]:
    config = config_for(site)
    options = options_for(config, config.pool()[0])
    if request.param == "urllib":
        options["compat_opts"] = {"prefer-legacy-http-handler"}
    with open_site(options, Session(no_token, time.monotonic() + 30)) as opened:
        yield opened


def caption_of(site: MiniYouTube) -> str:
    return f"https://www.youtube.com/api/timedtext?v={site.catalogue.videos[0].video_id}&lang=en&kind=asr&fmt=json3"


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/secret", "https://169.254.169.254/", "https://evil.example/"])
def test_a_redirect_to_another_host_is_not_followed(site: MiniYouTube, ydl: Any, target: str) -> None:
    site.misbehave(Fault("captions", "redirect", location=target))
    with pytest.raises(ForeignAddress):
        read_caption(ydl, caption_of(site), 10**6)
    assert len(site.log) == 1
    assert site.log.refused_hosts() == []


def test_a_redirect_within_the_site_is_followed_and_takes_its_own_token(site: MiniYouTube, ydl: Any) -> None:
    site.misbehave(Fault("captions", "redirect", location=caption_of(site) + "&again=1", requests=1))
    assert b"events" in read_caption(ydl, caption_of(site), 10**6)
    assert [(seen.kind, seen.status) for seen in ydl.session.requests] == [("caption", 302), ("caption", 200)]


def test_a_circle_of_redirects_ends(site: MiniYouTube, ydl: Any) -> None:
    site.misbehave(Fault("captions", "redirect", location=caption_of(site)))
    with pytest.raises(Exception, match="redirected too often"):
        read_caption(ydl, caption_of(site), 10**6)
    assert len(site.log) == 5


def test_other_requests_are_redirected_as_ever(site: MiniYouTube, ydl: Any) -> None:
    site.misbehave(Fault("captions", "redirect", location=caption_of(site), requests=1))
    with ydl.urlopen(Request(caption_of(site))) as response:
        assert b"events" in response.read()


def merged(folder: Path, video: Path, audio: Path, *options: str) -> Path:
    """What yt-dlp's merge of two downloaded files makes."""
    params = {"ffmpeg_location": find_ffmpeg(), "postprocessor_args": {"merger+ffmpeg_i": list(options)}, "quiet": True}
    formats = [
        {"acodec": "none", "vcodec": "avc1", "protocol": "https"},
        {"acodec": "mp4a", "vcodec": "none", "protocol": "https"},
    ]
    target = folder / "out.mp4"
    with RecordingYoutubeDL(params, Session(no_token, time.monotonic() + 60)) as ydl:
        info = {"filepath": str(target), "requested_formats": formats, "__files_to_merge": [str(video), str(audio)]}
        FFmpegMergerPP(ydl).run(info)
    return target


def test_a_merge_opens_no_file_that_a_downloaded_one_names(tmp_path: Path) -> None:
    """A download that is a list of other files: ffmpeg would read a film of this machine into the data set."""
    own = a_video(tmp_path / "own.mp4", seconds=1, width=320, height=180)
    listing = tmp_path / "download.mp4"
    listing.write_text(f"ffconcat version 1.0\nfile '{own.name}'\n")
    assert merged(tmp_path, listing, own).exists()  # this is what ffmpeg does if it is not told otherwise
    (tmp_path / "out.mp4").unlink()
    with pytest.raises(PostProcessingError):
        merged(tmp_path, listing, own, *MERGE_INPUT)
    assert not (tmp_path / "out.mp4").exists()
    assert merged(tmp_path, own, own, *MERGE_INPUT).stat().st_size > 1000


@pytest.mark.parametrize(
    ("url", "shown"), [("https://a.org:8443/x", "https://a.org:8443,"), ("https://a.org/", "https://a.org,")]
)
def test_an_address_that_is_not_asked_for_is_named_without_its_path(url: str, shown: str) -> None:
    with pytest.raises(ForeignAddress, match=f"leads to {shown}"):
        check_own(url)


def test_a_host_s_last_dot_is_no_other_host() -> None:
    check_own("https://www.youtube.com./api/timedtext")

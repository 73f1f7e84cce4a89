"""The real yt-dlp with its own extractors lists, extracts and fetches from the mini-YouTube."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yt_dlp

from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import Catalogue, Playlist, Video
from miniyoutube.faults import Fault
from miniyoutube.innertube import SIGNATURE_MARK
from miniyoutube.media_cache import MediaCache
from miniyoutube.server import MiniYouTube
from tests.miniyoutube.client import a_ydl, ask, extract, fetch, listed

CATEGORY = 25


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """120 good videos, and a playlist of thirty of them."""
    plain = a_catalogue(120, misbehaving=0, videos_per_channel=25)
    first = plain.videos[0]
    ids = tuple(video.video_id for video in plain.videos[:30])
    return Catalogue(plain.videos, (Playlist("PL" + "x" * 32, "Thirty", first.channel, ids),))


@pytest.fixture(scope="module")
def site(catalogue: Catalogue, demo_cache: MediaCache) -> Iterator[MiniYouTube]:
    """Serves them, ten to a page."""
    with MiniYouTube(catalogue, cache=demo_cache, page_size=10) as site:
        yield site
        assert site.log.refused_hosts() == []


@pytest.fixture(autouse=True)
def fresh_log(site: MiniYouTube) -> None:
    """Each test sees its own requests."""
    site.relent()
    site.log.clear()


def of_category(catalogue: Catalogue, category_id: int = CATEGORY) -> list[Video]:
    return [video for video in catalogue.videos if video.category_id == category_id]


# --- lists ---


def test_two_neighbouring_queries_of_a_category_find_all_of_it(site: MiniYouTube, catalogue: Catalogue) -> None:
    first, second = catalogue.queries[CATEGORY][:2]
    found = [{entry["id"] for entry in listed(site, f"ytsearch500:{query}")} for query in (first, second)]
    wanted = {video.video_id for video in of_category(catalogue)}
    assert found[0] | found[1] == wanted
    assert found[0] != wanted
    assert found[0] & found[1]


# --- pages that go wrong ---


# --- one video ---


def test_an_extraction_knows_what_the_uploader_said(site: MiniYouTube, catalogue: Catalogue) -> None:
    video = next(v for v in catalogue.videos if v.license)
    info = extract(site, video.video_id)
    assert info["id"] == video.video_id
    assert info["title"] == video.title
    assert info["channel"] == video.channel.name
    assert info["channel_id"] == video.channel.channel_id
    assert info["uploader_id"] == video.channel.handle
    assert info["duration"] == video.duration_s
    assert info["upload_date"] == video.upload_date.replace("-", "")
    assert info["license"] == video.license
    assert info["age_limit"] == 0
    assert info["live_status"] == "not_live"
    assert info["availability"] == "public"
    assert info["language"] == "en"
    assert info["view_count"] == video.view_count
    assert {f["height"] for f in info["formats"] if f.get("height")} == {720, 480, 360}


@pytest.mark.parametrize(
    "params",
    [{}, {"js_runtimes": {}}, {"compat_opts": ["prefer-legacy-http-handler"]}],
    ids=["as it is", "without a JavaScript runtime", "without requests"],
)
def test_media_is_fetched_whole_and_only_the_chosen_streams(
    site: MiniYouTube, catalogue: Catalogue, tmp_path: Path, params: dict[str, object]
) -> None:
    video = catalogue.videos[3]
    path = fetch(site, video.video_id, tmp_path, **params)
    assert path.stat().st_size > 10_000
    media = site.log.of("media")
    assert [r.itag for r in media] == ["136", "140"]
    assert {r.status for r in media} == {206}
    clients = [r.client for r in site.log.of("player")]
    assert clients == (["VISIONOS"] if "js_runtimes" in params else ["TVHTML5", "VISIONOS"])


# --- the wire ---


def test_another_host_is_refused_and_recorded(catalogue: Catalogue, demo_cache: MediaCache) -> None:
    with MiniYouTube(catalogue, cache=demo_cache, draw="lazily") as other:
        with a_ydl(other) as ydl, pytest.raises(yt_dlp.networking.exceptions.RequestError):
            ydl.urlopen("https://example.com/")
        assert other.log.refused_hosts() == ["example.com"]


def test_a_byte_range_of_media_is_answered_exactly(site: MiniYouTube, catalogue: Catalogue) -> None:
    video = catalogue.videos[0]
    formats = extract(site, video.video_id)["formats"]
    url = urlsplit(next(f["url"] for f in formats if f["format_id"] == "136"))
    data = site.site.cache.path(video.picture(720)).read_bytes()
    target = f"{url.path}?{url.query}"
    whole = ask(site, url.netloc, target)
    assert (whole.status, whole.body) == (200, data)
    part = ask(site, url.netloc, target, Range="bytes=100-199")
    assert (part.status, part.body) == (206, data[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    rest = ask(site, url.netloc, target, Range=f"bytes={len(data) - 5}-99999999")
    assert rest.body == data[-5:]
    assert ask(site, url.netloc, target, Range=f"bytes={len(data)}-").status == 416


def test_a_media_address_serves_only_who_extracted_it(site: MiniYouTube, catalogue: Catalogue) -> None:
    one = {"proxy": site.proxy_url_of("one")}
    formats = extract(site, catalogue.videos[0].video_id, **one)["formats"]
    url = next(f["url"] for f in formats if f["format_id"] == "136")
    with a_ydl(site, **one) as ydl:
        assert ydl.urlopen(url).read(4)
    with a_ydl(site, proxy=site.proxy_url_of("two")) as ydl, pytest.raises(yt_dlp.networking.exceptions.HTTPError):
        ydl.urlopen(url)
    assert {r.identity for r in site.log} == {"one", "two"}


def test_a_fault_can_meet_one_identity_alone(site: MiniYouTube, catalogue: Catalogue) -> None:
    site.misbehave(Fault("player", "bot_check", identity="one"))
    with pytest.raises(yt_dlp.DownloadError, match="not a bot"):
        extract(site, catalogue.videos[0].video_id, proxy=site.proxy_url_of("one"))
    assert extract(site, catalogue.videos[0].video_id, proxy=site.proxy_url_of("two"))["formats"]


def test_every_signed_address_bears_the_mark(site: MiniYouTube, catalogue: Catalogue) -> None:
    info = extract(site, catalogue.videos[0].video_id)
    assert all(SIGNATURE_MARK in f["url"] for f in info["formats"])
    tracks = [*info["subtitles"].values(), *info["automatic_captions"].values()]
    assert all(SIGNATURE_MARK in entry["url"] for track in tracks for entry in track)


def test_nonsense_from_the_net_breaks_nothing(site: MiniYouTube, catalogue: Catalogue) -> None:
    host = "www.youtube.com"
    assert ask(site, host, "/youtubei/v1/search", method="POST", body={"continuation": "x!"}).status == 200
    assert ask(site, host, "/youtubei/v1/browse", method="POST", body={"browseId": "UC"}).json["alerts"]
    assert ask(site, host, "/youtubei/v1/player", method="POST", body=[1]).status == 200
    assert ask(site, host, "/nowhere").status == 404
    assert ask(site, host, "/api/timedtext?v=none").status == 404
    assert ask(site, "rr1---sn-x.googlevideo.com", "/videoplayback?id=none&gen=x").status == 404
    assert extract(site, catalogue.videos[0].video_id)["formats"]

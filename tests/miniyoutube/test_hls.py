"""HLS as the site serves it, seen through the real yt-dlp."""

from __future__ import annotations

import pytest
from yt_dlp.networking.exceptions import HTTPError

from miniyoutube.media_cache import MediaCache
from miniyoutube.server import MiniYouTube
from tests.miniyoutube.catalogues import one_of_each
from tests.miniyoutube.client import extract, read_url


@pytest.mark.parametrize(("behaviour", "n_lists", "begins"), [("hls_only", 1, b"G"), ("hls_apart", 2, b"\0\0\0")])
def test_playlists_name_segments_that_only_who_extracted_them_gets(
    demo_cache: MediaCache, behaviour: str, n_lists: int, begins: bytes
) -> None:
    with MiniYouTube(one_of_each([behaviour]), cache=demo_cache) as site:
        video = site.catalogue.videos[1]
        formats = extract(site, video.video_id)["formats"]
        lists = {f["url"] for f in formats if f["protocol"] == "m3u8_native"}
        assert len(lists) == n_lists
        for address in lists:
            lines = read_url(site, address).decode().splitlines()
            lengths = [float(line.split(":")[1].rstrip(",")) for line in lines if line.startswith("#EXTINF")]
            assert sum(lengths) == pytest.approx(video.duration_s, abs=0.2)
            segments = [line for line in lines if not line.startswith("#")]
            assert len(segments) == len(lengths) > 1
            assert read_url(site, segments[0]).startswith(begins)
            for wrong in (segments[0].replace("ip=", "ip=another"), segments[0] + "x"):
                with pytest.raises(HTTPError, match=r"403|404"):
                    read_url(site, wrong)

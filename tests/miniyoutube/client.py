"""The real yt-dlp, and a bare HTTP client, pointed at a mini-YouTube."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yt_dlp

from miniyoutube.server import MiniYouTube
from pipeline.media.ffmpeg import find_ffmpeg

FORMAT = "bv*[vcodec^=avc1][ext=mp4]+ba[ext=m4a]"


@dataclass
class Notes:
    """A yt-dlp logger that keeps warnings."""

    warnings: list[str] = field(default_factory=list)

    def debug(self, message: str) -> None:
        """Drops progress."""

    info = debug
    error = debug

    def warning(self, message: str) -> None:
        """Keeps a warning."""
        self.warnings.append(message)


def a_ydl(site: MiniYouTube, **params: Any) -> yt_dlp.YoutubeDL:
    """yt-dlp with its own extractors, in a hurry."""
    return yt_dlp.YoutubeDL(
        {
            **site.ydl_params,
            "quiet": True,
            "noprogress": True,
            "logger": Notes(),
            "socket_timeout": 3,
            "retries": 2,
            "extractor_retries": 1,
            "retry_sleep_functions": {"http": lambda n: 0, "extractor": lambda n: 0},
            "extractor_args": {"youtube": {"raise_incomplete_data": ["1"]}},
            "ffmpeg_location": find_ffmpeg(),
            "format": FORMAT,
            "format_sort": ["res:720"],
            "merge_output_format": "mp4",
            **params,
        }
    )


def watch_url(video_id: str) -> str:
    """The address of a video's page."""
    return f"https://www.youtube.com/watch?v={video_id}"


def listed(site: MiniYouTube, url: str, **params: Any) -> list[dict[str, Any]]:
    """The entries of a list, as a lazy crawl takes them."""
    with a_ydl(site, **params) as ydl:
        info = ydl.extract_info(url, download=False, process=False)
        while info.get("_type") == "url":
            info = ydl.extract_info(info["url"], download=False, process=False, ie_key=info.get("ie_key"))
        return list(info["entries"])


def extract(site: MiniYouTube, video_id: str, **params: Any) -> dict[str, Any]:
    """What yt-dlp says of a video, without its media."""
    with a_ydl(site, **params) as ydl:
        return ydl.extract_info(watch_url(video_id), download=False)


def fetch(site: MiniYouTube, video_id: str, folder: Path, **params: Any) -> Path:
    """The merged file of a video."""
    with a_ydl(site, outtmpl=str(folder / "%(id)s.%(ext)s"), **params) as ydl:
        info = ydl.extract_info(watch_url(video_id))
    return Path(info["requested_downloads"][0]["filepath"])


@dataclass
class Reply:
    """A bare HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(site: MiniYouTube, host: str, path: str, *, method: str = "GET", body: Any = None, **headers: str) -> Reply:
    """One request through the proxy without yt-dlp."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", site.port, context=context, timeout=10)
    connection.set_tunnel(host, 443)
    try:
        data = json.dumps(body) if body is not None else None
        connection.request(method, path, body=data, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()

"""The real yt-dlp pointed at a mini-YouTube."""

from __future__ import annotations

from dataclasses import dataclass, field
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


def extract(site: MiniYouTube, video_id: str, **params: Any) -> dict[str, Any]:
    """What yt-dlp says of a video, without its media."""
    with a_ydl(site, **params) as ydl:
        return ydl.extract_info(watch_url(video_id), download=False)

"""The canary: a video known to have everything. What it lacks now, the site withholds from the identity that asks."""

from collections.abc import Mapping
from typing import Any

from pipeline.config.crawl import CrawlConfig
from pipeline.config.media import CutConfig
from pipeline.site.formats import choose_format
from pipeline.site.tracks import list_tracks


def lacking_of(info: Mapping[str, Any], config: CrawlConfig) -> list[str]:
    """Which of 720p, captions and category the extracted canary lacks; [] if none."""
    has = {
        "720p": choose_format(info.get("formats") or (), config.media, CutConfig()).reason is None,
        "captions": bool(list_tracks(info.get("subtitles"), info.get("automatic_captions"))),
        "category": bool(info.get("categories")),
    }
    return [name for name, there in has.items() if not there]

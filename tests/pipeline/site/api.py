"""What tests of the Data API share: a key, a crawl that has it, and a site that knows it."""

from pathlib import Path
from typing import Any

from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig
from pipeline.config.data_api import DataApiConfig
from tests.pipeline.crawl.site import config_for

KEY = "AIza" + "PlantedKey-Of_a-Test" * 2
KEY = KEY[:39]


def with_key(site: MiniYouTube, folder: Path, *, units: int = 10_000, **settings: Any) -> CrawlConfig:
    """The crawl's settings with a key, which the site takes for so many units."""
    site.site.data_api.units = {KEY: units}
    file = folder / "key.txt"
    file.write_text(f"{KEY}\n")
    return config_for(site, **{"data_api": DataApiConfig(key_file=file), **settings})


def asked_of_the_api(site: MiniYouTube) -> int:
    """How many requests the API has had."""
    return len(site.log.of("data_api"))


def looks_at(site: MiniYouTube) -> set[str]:
    """The videos whose watch pages were asked for."""
    return {request.video_id for request in site.log.of("watch")}

"""The demo: the embedded mini-YouTube on loopback, and an ordinary run pointed at it by ordinary settings."""

from dataclasses import replace
from pathlib import Path

from pydantic import Secret, SecretStr

from manifests.settings import load_config
from miniyoutube.catalogue import Catalogue
from miniyoutube.demo_catalogue import demo_catalogue
from miniyoutube.server import MiniYouTube
from pipeline.config import RunConfig
from pipeline.report.summary import Delivered
from pipeline.run.road import run_pipeline

CONFIG = Path(__file__).with_name("demo.yaml")


def demo_config(out: Path, file: Path | None, overrides: list[str]) -> RunConfig:
    """Loads the demo's settings, with `out` as output. Raises ConfigError."""
    return load_config(RunConfig, file or CONFIG, [f"out={out}", *overrides])


def run_demo(config: RunConfig, *, n_videos: int = 0) -> Delivered:
    """Serves the demo's catalogue and runs the pipeline on it. Its port is new each time, but no identity key."""
    with MiniYouTube(some_of(demo_catalogue(), n_videos)) as site:
        return run_pipeline(pointed_at(site, config))


def some_of(catalogue: Catalogue, n_videos: int) -> Catalogue:
    """A catalogue with this many of the videos, evenly chosen; 0: all."""
    if not 0 < n_videos < len(catalogue.videos):
        return catalogue
    indices = [i * len(catalogue.videos) // n_videos for i in range(n_videos)]
    return replace(catalogue, videos=tuple(catalogue.videos[i] for i in indices), playlists=())


def pointed_at(site: MiniYouTube, config: RunConfig) -> RunConfig:
    """Points yt-dlp at a mini-YouTube: as its proxy, without checking the certificate."""
    options = config.crawl.ydl_opts.get_secret_value() | {"nocheckcertificate": True, "cachedir": False}
    proxy = SecretStr(site.proxy_url)
    identities = tuple(identity.model_copy(update={"proxy": proxy}) for identity in config.crawl.pool())
    crawl = config.crawl.model_copy(update={"identities": identities, "ydl_opts": Secret(options)})
    return config.model_copy(update={"crawl": crawl})

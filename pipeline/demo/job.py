"""The demo: the embedded mini-YouTube on loopback, and the ordinary run pointed at it by ordinary settings."""

from pathlib import Path

from pydantic import Secret, SecretStr

from manifests.settings import load_config
from pipeline.config import RunConfig
from pipeline.demo.catalogue import Catalogue
from pipeline.demo.demo_catalogue import demo_catalogue
from pipeline.demo.server import MiniYouTube
from pipeline.run import Delivered, run_pipeline

CONFIG = Path(__file__).with_name("demo.yaml")


def demo_config(out: Path, file: Path | None, overrides: list[str]) -> RunConfig:
    """The demo's settings, written to `out`. Raises ConfigError."""
    return load_config(RunConfig, file or CONFIG, [f"out={out}", *overrides])


def run_demo(config: RunConfig, catalogue: Catalogue | None = None) -> Delivered:
    """Serves a catalogue and runs the pipeline on it. The site's port is free and new each time: not identity."""
    with MiniYouTube(catalogue or demo_catalogue()) as site:
        return run_pipeline(pointed_at(site, config))


def pointed_at(site: MiniYouTube, config: RunConfig) -> RunConfig:
    """The settings with yt-dlp pointed at a mini-YouTube: a proxy, and its certificate not checked."""
    options = config.crawl.ydl_opts.get_secret_value() | {"nocheckcertificate": True, "cachedir": False}
    proxy = SecretStr(site.proxy_url)
    identities = tuple(one.model_copy(update={"proxy": proxy}) for one in config.crawl.pool())
    crawl = config.crawl.model_copy(update={"identities": identities, "ydl_opts": Secret(options)})
    return config.model_copy(update={"crawl": crawl})

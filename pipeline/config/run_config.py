"""RunConfig: the configuration of a run, assembled from one file per area."""

from typing import ClassVar

from manifests.settings import Section, identity, operational
from pipeline.config.balance import BalanceConfig
from pipeline.config.crawl import CrawlConfig
from pipeline.config.engine import EngineConfig
from pipeline.config.folder import FolderConfig
from pipeline.config.media import MediaConfig
from pipeline.config.shards import ShardsConfig
from pipeline.config.text import TextConfig
from pipeline.config.urls import UrlsConfig


class RunConfig(Section):
    """All settings of a run."""

    stage: ClassVar[str] = "folder"

    out: str = operational(doc="output directory: a path, or a url such as s3://bucket/prefix")
    name: str = identity("hdvila", doc="name of the data set, in the card and the indexes", pattern=r"^[\w .-]{1,64}$")
    seed: int = identity(0, ge=0, lt=2**63, doc="seed of every random choice: splits, orders, samples")
    folder: FolderConfig = FolderConfig()
    urls: UrlsConfig = UrlsConfig()
    crawl: CrawlConfig = CrawlConfig()
    text: TextConfig = TextConfig()
    balance: BalanceConfig = BalanceConfig()
    media: MediaConfig = MediaConfig()
    shards: ShardsConfig = ShardsConfig()
    engine: EngineConfig = EngineConfig()

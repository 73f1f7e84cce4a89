"""RunConfig: the configuration of a run, assembled from one file per area."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, SerializeAsAny, create_model, model_validator

from manifests.plugins import WithPlugins
from manifests.settings import Section, identity, operational
from pipeline.config.balance import BalanceConfig
from pipeline.config.crawl import OUR_SOURCES, CrawlConfig
from pipeline.config.engine import EngineConfig
from pipeline.config.folder import FolderConfig
from pipeline.config.media import MediaConfig, settings_keys
from pipeline.config.shards import ShardsConfig
from pipeline.config.text import TextConfig
from pipeline.config.urls import UrlsConfig


class SourcesConfig(Section):
    """The settings of sources that other packages bring, a section each."""

    stage: ClassVar[str] = "urls"


class StagesConfig(Section):
    """The stages that other packages bring and this run uses, with their settings, a section each."""

    stage: ClassVar[str] = "clips"


def _section_of(name: str, step: Any) -> type[Section]:
    own = create_model(name, __base__=Section, **settings_keys(step))
    section: type[Section] = create_model(name, __base__=Section, **{name: (own, own())})  # type: ignore[call-overload]
    return section


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
    sources: Annotated[
        SerializeAsAny[SourcesConfig], BeforeValidator(WithPlugins(SourcesConfig, "sources", _section_of))
    ] = SourcesConfig()
    stages: Annotated[
        SerializeAsAny[StagesConfig], BeforeValidator(WithPlugins(StagesConfig, "stages", _section_of))
    ] = StagesConfig()

    @model_validator(mode="after")
    def _sources_have_their_sections(self) -> "RunConfig":
        for name in set(self.crawl.sources) - OUR_SOURCES - type(self.sources).packages.keys():
            raise ValueError(
                f"crawl.sources: {name} is of another package; give its settings, sources: {{{name}: {{}}}}"
            )
        return self

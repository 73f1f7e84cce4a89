"""RunConfig: the configuration of a run, assembled from one file per area; and how it is carried out."""

import difflib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Secret,
    SerializeAsAny,
    create_model,
    field_validator,
    model_validator,
)

from manifests.plugins import WithPlugins
from manifests.settings import Section, identity, operational
from manifests.stages import OTHERS, STAGES, TABLE, find_stage
from pipeline.config.balance import BalanceConfig, find_category
from pipeline.config.crawl import OUR_SOURCES, CrawlConfig
from pipeline.config.media import MediaConfig, settings_keys
from pipeline.config.shards import ShardsConfig
from pipeline.config.sources import FolderConfig, MediaUrlsConfig
from pipeline.config.text import TextConfig


def _amount(amount: float) -> float:
    if amount > 1 and amount % 1:
        raise ValueError(f"{amount} is neither a whole number nor a fraction of 1")
    return amount


Amount = Annotated[float, Field(gt=0), AfterValidator(_amount)]


class ResourcesConfig(Section):
    """What a unit of a stage needs, where that differs from what the stage asks for itself."""

    n_cpus: Amount = operational(1.0, doc="CPU slots")
    memory_bytes: int = operational(4 * 1024**3, gt=0, doc="memory, and the limit that ends the unit, bytes")
    n_gpus: float = operational(0.0, ge=0, doc="GPUs: a whole number, or a fraction that several units share")
    custom: dict[str, Amount] = operational(
        {}, doc="custom resources of a Ray cluster by name (`ray start --resources`)"
    )

    _whole_or_shared = field_validator("n_gpus")(_amount)

    @field_validator("custom")
    @classmethod
    def _names_are_free(cls, custom: dict[str, float]) -> dict[str, float]:
        for name in custom.keys() & {"CPU", "GPU", "memory"}:
            raise ValueError(f"{name} is none of a cluster's own names: set n_cpus, n_gpus or memory_bytes")
        return custom


class PricesConfig(Section):
    """What things cost, in any currency; a run says in its metrics what 1,000 clips have cost so far."""

    slot_hour: float = operational(0.0, ge=0, doc="price of an hour of one CPU slot, busy or not")
    run_hour: float = operational(0.0, ge=0, doc="price of an hour of the run beside its slots: head, GPUs, proxies")
    gb_written: float = operational(0.0, ge=0, doc="price of a GB that is written: traffic and storage")


class EngineConfig(Section):
    """Where units run and how long a run tolerates refusals. All operational: none changes the output."""

    executor: Literal["local", "ray"] = operational(
        "ray", doc="local: one unit at a time in this process; ray: a cluster"
    )
    ray_address: str = operational("", doc="address of a Ray cluster (auto, ray://host:10001 …); empty: a local Ray")
    n_cpus: int = operational(0, ge=0, doc="CPU slots of a local Ray, which are its workers; 0: all cores")
    resources: dict[str, ResourcesConfig] = operational(
        {}, doc="{stage: {n_cpus, memory_bytes, n_gpus, custom}} where a stage's units need others than it asks for"
    )
    downloads: int = operational(
        0, ge=0, doc="videos fetched at a time, over all machines; fetching takes no CPU slot; 0: twice the CPU slots"
    )
    waiting_bytes: int = operational(
        32 * 1024**3,
        ge=1,
        doc="limit of fetched videos on one machine's scratch disk, bytes; beyond it, nothing more is fetched there",
    )
    scratch: Path | None = operational(
        None, doc="folder for each worker's current unit; empty: hdvila-scratch-UID in the system's temporary folder"
    )
    outage_s: float = operational(
        1800.0, ge=0, doc="how long a run waits for a bucket that does not answer, and a restart for the site, seconds"
    )
    storage_options: Secret[dict[str, Any]] = operational(
        Secret({}), doc="fsspec options of the output's bucket (endpoint_url, key …); never logged"
    )

    prices: PricesConfig = PricesConfig()

    @field_validator("scratch")
    @classmethod
    def _absolute(cls, scratch: Path | None) -> Path | None:
        return scratch.absolute() if scratch else None


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
    media_urls: MediaUrlsConfig = MediaUrlsConfig()
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

    @model_validator(mode="after")
    def _a_recogniser_is_there(self) -> "RunConfig":
        if self.text.transcript.recognise == "missing" and not self.media.heard.model:
            raise ValueError("text.transcript.recognise: missing: name the recogniser's model, media.heard.model")
        return self

    @model_validator(mode="after")
    def _resources_are_of_stages(self) -> "RunConfig":
        steps = list(type(self.stages).packages)
        known = [stage.name for stage in TABLE if not stage.files]  # those with files run in the driver
        known += [OTHERS.join(("clips", *steps[: n + 1])) for n in range(len(steps))]
        known += [f"urls{OTHERS}{name}" for name in type(self.sources).packages]
        for name in set(self.engine.resources) - set(known):
            part_of = find_stage(name)
            near = [part_of.name] if part_of else difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near and near[0] in known else f"there are {', '.join(known)}"
            raise ValueError(f"engine.resources: {name} is no stage that workers run; {hint}")
        return self

    @model_validator(mode="after")
    def _weights_are_of_what_is_crawled(self) -> "RunConfig":
        crawled = self.crawled_categories()
        for name, weight in self.balance.weights.items() if crawled else ():
            category = find_category(name)
            if weight and category and category.id not in (crawled or ()):
                raise ValueError(
                    f"balance.weights: {name} is not crawled, so it would get nothing; add {category.id} to "
                    "crawl.categories, or leave its weight out"
                )
        return self

    def crawled_categories(self) -> tuple[int, ...] | None:
        """The only categories that the configured sources are asked for; None if videos of others may come."""
        is_crawl = set(self.crawl.sources) <= set(STAGES["list"].sources)
        return self.crawl.categories if is_crawl and self.crawl.categories else None

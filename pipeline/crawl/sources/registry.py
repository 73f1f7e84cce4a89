"""The sources by name: how each lists, looks at and fetches its videos.

Sources of the `site` family are asked in the rounds of the crawl, and their media fetched through yt-dlp. Any other
source has its own stage, which lists and looks, and a fetcher, unless its media is on a disk already. A new source is
one module with a stage, and a line here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from manifests.members import Setting
from manifests.origin import video_id_of
from manifests.plugins import load, package_of
from manifests.stages import OTHERS, STAGES
from pipeline.config import RunConfig
from pipeline.crawl.sources import LISTS
from pipeline.crawl.sources.folder import FolderStage
from pipeline.crawl.sources.lists import heads_of
from pipeline.crawl.sources.urls import Listing, ListRows, UrlFetcher, UrlsStage
from pipeline.engine.work.unit import Context, Stage
from pipeline.media.source_files import Fetch


@dataclass(frozen=True, slots=True)
class Source:
    """`stage` lists and looks at everything (None for the site's family); `fetch` makes the fetcher of its media.

    Another package's source has `rows` instead: `rows(settings, ask)` yields rows such as a list of addresses
    has, given the section `sources.NAME`. `ask(address)` returns what lies at an address, as bytes.
    """

    stage: Callable[[RunConfig], Stage] | None = None
    fetch: Callable[[RunConfig], Fetch] | None = None
    rows: ListRows | None = None
    settings: tuple[Setting, ...] = ()


SITE = Source()
SOURCES = {
    **dict.fromkeys(STAGES["list"].sources, SITE),
    "folder": Source(stage=lambda config: FolderStage(config.folder, config.media, recognises_missing(config))),
    LISTS: Source(
        stage=lambda config: UrlsStage(config.media_urls, config.crawl),
        fetch=lambda config: _fetcher(UrlsStage(config.media_urls, config.crawl), config),
    ),
}


def recognises_missing(config: RunConfig) -> bool:
    """Whether videos without captions get those that a recogniser hears."""
    return config.text.transcript.recognise == "missing"


def source_named(name: str) -> Source:
    """A source: ours, or another package's, which works like a list of addresses. UserError if that is no source."""
    if name in SOURCES:
        return SOURCES[name]
    source = load("sources", name)
    if not (isinstance(source, Source) and source.rows):
        raise UserError(f"{name} of sources: {package_of('sources', name)} brings no Source with rows")

    def stage(config: RunConfig) -> UrlsStage:
        listing = Listing(name, config.sources)
        return UrlsStage(config.media_urls, config.crawl, f"urls{OTHERS}{name}", listing)

    return Source(stage, lambda config: _fetcher(stage(config), config))


def _fetcher(stage: UrlsStage, config: RunConfig) -> UrlFetcher:
    return UrlFetcher(stage, config.media.limits.max_bytes)


def asks_site(config: RunConfig) -> bool:
    """Whether any configured source is asked in rounds of a crawl: the site's own, and lists that name its videos.

    UserError for a list that is not understood.
    """
    of_lists = LISTS in config.crawl.sources and any(head.site for head in heads_of(config.crawl.lists))
    return of_lists or any(source_named(name).stage is None for name in config.crawl.sources)


@dataclass(frozen=True, slots=True)
class FetchBySource:
    """Fetches a video in its source's way; `site` serves the site's family. Picklable; one object for all units."""

    site: Fetch
    others: Mapping[str, Fetch]

    def __call__(self, video: Mapping[str, Any], context: Context) -> Path:
        """Returns the media file. Raises what the source's own fetcher raises."""
        is_of_site = video["source"] == LISTS and video_id_of(video["url"])
        return (self.site if is_of_site else self.others.get(video["source"], self.site))(video, context)


def fetch_by_source(config: RunConfig, site: Fetch) -> FetchBySource:
    """The configured sources' own fetchers, where they have any."""
    asked = {name: fetch for name in config.crawl.sources if (fetch := source_named(name).fetch)}
    others: dict[str, Fetch] = {name: fetch(config) for name, fetch in asked.items()}
    return FetchBySource(site, others)

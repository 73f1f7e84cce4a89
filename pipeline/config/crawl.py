"""Settings of the crawl: what is asked for, what is rejected, how politely, and by which identities."""

import difflib
import re
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Secret, SecretStr, ValidationInfo, field_validator, model_validator

from manifests.categories import load_categories
from manifests.plugins import names_in
from manifests.settings import Section, identity, operational
from manifests.stages import TABLE
from pipeline.config.data_api import DataApiConfig
from pipeline.config.sources import ListsConfig
from pipeline.config.ydl_opts import check_options, is_trusted

OUR_SOURCES = frozenset(source for stage in TABLE for source in stage.sources)


def _allowed(options: Secret[dict[str, Any]], info: ValidationInfo) -> Secret[dict[str, Any]]:
    check_options(options.get_secret_value(), trusted=is_trusted(info))
    return options


YdlOpts = Annotated[Secret[dict[str, Any]], AfterValidator(_allowed)]
"""yt-dlp's options by name, of which a configuration may set some (pipeline.config.ydl_opts)."""


def _source(name: str) -> str:
    if name in OUR_SOURCES or name in names_in("sources"):
        return name
    near = difflib.get_close_matches(name, OUR_SOURCES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(OUR_SOURCES))}"
    raise ValueError(f"{name!r} is not a source; {hint}")


SourceName = Annotated[str, AfterValidator(_source)]


class LimitsConfig(Section):
    """Which videos are wanted. Each limit has its own reject reason."""

    stage: ClassVar[str] = "choose"
    languages: tuple[str, ...] = identity(
        ("en",), doc="languages of the original speech and of captions, as prefixes of a language tag; empty: any"
    )
    min_duration_s: float = identity(30.0, ge=0, doc="shortest video, seconds")
    max_duration_s: float = identity(7200.0, gt=0, doc="longest video, seconds")
    uploaded_after: str = identity("", pattern=r"^(\d{8})?$", doc="earliest upload day, YYYYMMDD; empty: no limit")
    uploaded_before: str = identity("", pattern=r"^(\d{8})?$", doc="latest upload day, YYYYMMDD; empty: no limit")
    max_age_limit: int = identity(0, ge=0, doc="highest age limit of videos to take, years")
    allow_live: bool = identity(False, doc="take recordings of live streams; one that has not ended is looked at later")
    licences: tuple[str, ...] = identity(
        (), doc="licences to take: words that the licence contains, `standard` for YouTube's own; empty: any"
    )
    allow_made_for_kids: bool = identity(True, doc="take videos that are marked as made for kids")
    min_views: int = identity(0, ge=0, doc="minimum view count; a video that hides its count passes")
    other_categories: Literal["keep", "reject"] = identity(
        "keep",
        doc="what to do with a video of another category than was searched for: keep it for its own, or reject it",
    )


class CaptionsConfig(Section):
    """Which caption tracks are fetched."""

    stage: ClassVar[str] = "extract"
    kinds: tuple[Literal["manual", "auto"], ...] = identity(
        ("manual", "auto"),
        doc="kinds of track to fetch; with both, manual text can take the word times of the automatic track",
    )


class MediaFormatConfig(Section):
    """Which rendition is fetched."""

    stage: ClassVar[str] = "fetch"
    codecs: tuple[str, ...] = identity(
        ("avc1", "av01", "vp9", "vp09"), doc="video codecs to take, in order of preference"
    )


class IdentityConfig(Section):
    """An identity that asks the site: an egress address and a session. A pool of them shares the work."""

    name: str = operational(pattern=r"^[A-Za-z0-9_-]{1,32}$", doc="name in status and logs")
    proxy: SecretStr = operational(SecretStr(""), doc="proxy URL; empty: this machine's own address")
    cookies: Path | None = operational(None, doc="Netscape cookie file, readable on every worker; never modified")
    videos_per_hour: float = operational(
        150.0, gt=0, doc="videos an hour; the site cuts a guest session off at about 300, an account at about 2000"
    )
    ydl_opts: YdlOpts = operational(
        Secret({}),
        doc="yt-dlp's options for this identity alone, over those of crawl.ydl_opts: impersonate, source_address, "
        "http_headers, extractor_args: {youtube: {po_token: […], visitor_data: […]}} …",
    )
    country: str = operational(
        "",
        pattern=r"^([A-Z]{2})?$",
        doc="country of its address, two letters; geo-blocked videos are then tried from another country",
    )


KINDS = ("list", "page", "player", "caption", "media", "other")
"""The kinds of requests that have their own rates."""
RATES = MappingProxyType({"list": 20.0, "page": 30.0, "player": 60.0, "caption": 20.0, "media": 120.0, "other": 60.0})
"""Requests a minute of an identity, by kind, where the configuration names no other."""


class PolitenessConfig(Section):
    """The rates of each identity, over all workers, and the reaction to the site's refusals."""

    identity_requests_per_minute: dict[str, float] = operational(
        lambda: dict(RATES),
        doc="requests a minute for each identity, by kind: list page player caption media other; kinds not named keep "
        "their defaults",
    )
    pauses_s: tuple[float, ...] = operational(
        (900.0, 3600.0, 21600.0),
        min_length=1,
        doc="back-off pauses in seconds, used in turn; the site's limit for one session begins with the second",
    )
    patience_s: float = operational(
        6 * 3600.0, ge=0, doc="how long a video may wait while all identities are paused before it is deferred, seconds"
    )
    later_s: float = operational(3600.0, gt=0, doc="first delay before a deferred video is tried again, seconds")

    @field_validator("identity_requests_per_minute")
    @classmethod
    def _known_kinds(cls, rates: dict[str, float]) -> dict[str, float]:
        """The rates with the defaults of the kinds that are not named. Raises ValueError for an unknown kind."""
        if odd := sorted(rates.keys() - set(KINDS)):
            raise ValueError(f"unknown kind {odd[0]}; kinds are {', '.join(sorted(KINDS))}")
        if bad := [kind for kind, rate in rates.items() if rate <= 0]:
            raise ValueError(f"{bad[0]}: a rate is above 0")
        return {**RATES, **rates}


def read_proxies(path: str | Path) -> list[str]:
    """The proxy URLs of a file. Raises ValueError, which names the line but not its content."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"proxy_file: {path} cannot be read ({type(error).__name__})") from None
    urls = []
    for number, line in enumerate(lines, 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        if not re.fullmatch(r"(?:https?|socks(?:4a?|5h?))://[^\s/]+/?", url):
            raise ValueError(
                f"proxy_file: {path}, line {number} is not a proxy URL such as http://user:password@host:8080"
            )
        urls.append(url)
    return urls


def _is_here(proxy: SecretStr) -> bool:
    """Whether a proxy runs on this machine."""
    try:
        return urlsplit(proxy.get_secret_value()).hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False


class CrawlConfig(Section):
    """The crawl as a whole."""

    stage: ClassVar[str] = "list"
    sources: tuple[SourceName, ...] = identity(
        ("search",), doc="where videos come from: search channel playlist lists folder"
    )
    categories: tuple[int, ...] = identity((), doc="category ids wanted; empty: all 15")
    queries: dict[int, tuple[str, ...]] = identity(
        dict, doc="search terms by category id, instead of the built-in ones of that category"
    )
    channels: dict[int, tuple[str, ...]] = identity(dict, doc="channel ids, handles or urls by category id (-1: any)")
    playlists: dict[int, tuple[str, ...]] = identity(dict, doc="playlist ids or urls by category id (-1: any)")
    lists: ListsConfig = ListsConfig()
    grow_from_channels: bool = identity(
        True, doc="when a category runs out of candidates, list the channels of its kept videos"
    )
    grow_from_words: bool = identity(
        True, doc="when that is not enough, search for words that titles, tags and chapters of its kept videos share"
    )
    max_per_query: int = identity(600, ge=1, doc="maximum number of results taken from one query or playlist")
    reserve: float = identity(
        0.25, ge=0, doc="share crawled beyond each category's quota, to replace videos that are rejected later"
    )
    limits: LimitsConfig = LimitsConfig()
    captions: CaptionsConfig = CaptionsConfig()
    media: MediaFormatConfig = MediaFormatConfig()
    data_api: DataApiConfig = DataApiConfig()
    opt_out: tuple[str, ...] = operational(
        (), doc="files or urls that list ids of videos and channels whose owners asked to be left out"
    )
    fetch_time_limit_s: float = operational(3600.0, gt=0, doc="wall-clock limit for one video's media, seconds")
    retry_wait_s: float = operational(
        5.0, ge=0, doc="wait before the second attempt at a video, seconds; doubled for each further one"
    )
    identities: tuple[IdentityConfig, ...] = operational(
        (),
        doc="who asks: a name, videos_per_hour, and if wanted proxy, cookies and others; none: this machine's address",
    )
    proxy_file: Path | None = operational(
        None,
        doc="text file of proxy URLs, one per line, # starts a comment; each becomes an identity: proxy-1, proxy-2 …",
    )
    canary: str = operational(
        "",
        pattern=r"^([A-Za-z0-9_-]{11})?$",
        doc="id of a video that has 720p, captions and a category: an identity that is not shown it, when a run begins "
        "and each hour, is paused; empty: the first videos that the crawl keeps",
    )
    politeness: PolitenessConfig = PolitenessConfig()
    ydl_opts: YdlOpts = operational(
        Secret({}),
        doc="further yt-dlp options by their names in the library (socket_timeout, impersonate, extractor_args …); "
        "harmless ones are listed, any other needs --trust-ydl-opts; values are never logged",
    )

    @model_validator(mode="before")
    @classmethod
    def _proxies_from_a_file(cls, given: Any) -> Any:
        """Adds an identity for each proxy in `proxy_file` after the configured ones."""
        if not isinstance(given, dict) or not given.get("proxy_file"):
            return given
        have = [*given.get("identities", ())]
        names = {identity.get("name") if isinstance(identity, dict) else identity.name for identity in have}
        read = [{"name": f"proxy-{n}", "proxy": url} for n, url in enumerate(read_proxies(given["proxy_file"]), 1)]
        return {**given, "identities": [*have, *(identity for identity in read if identity["name"] not in names)]}

    @model_validator(mode="after")
    def _certificates_are_checked(self, info: ValidationInfo) -> "CrawlConfig":
        """Raises ValueError if certificates are unchecked for a proxy elsewhere: its owner could read the cookies."""
        given = [{**self.ydl_opts.get_secret_value(), **one.ydl_opts.get_secret_value()} for one in self.pool()]
        unchecked = [one for one, opts in zip(self.pool(), given, strict=True) if opts.get("nocheckcertificate")]
        if not is_trusted(info) and not all(_is_here(identity.proxy) for identity in unchecked):
            raise ValueError(
                "ydl_opts: nocheckcertificate is for proxies on this machine (127.0.0.1); "
                "for any other give --trust-ydl-opts on the command line, if you wrote this configuration"
            )
        return self

    @model_validator(mode="after")
    def _identities_differ(self) -> "CrawlConfig":
        names = [identity.name for identity in self.identities]
        if len(set(names)) != len(names):
            raise ValueError("identities: two have the same name")
        return self

    def pool(self) -> tuple[IdentityConfig, ...]:
        """The configured identities, or the default identity alone."""
        return self.identities or (IdentityConfig(name="default"),)


def wanted_categories(config: CrawlConfig) -> tuple[int, ...]:
    """The configured category ids, or all 15 if none are configured."""
    return config.categories or tuple(category.id for category in load_categories())

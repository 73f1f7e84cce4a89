"""The yt-dlp objects of this process: one for each identity that asks, kept from one piece of work to the next."""

import threading
import time
from typing import Any

import yt_dlp
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import YoutubeDLError

from manifests.errors import UserError
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.config.ydl_opts import HARMLESS
from pipeline.site.failures import EXTRACTOR_BUGS
from pipeline.site.options import given_options, options_for
from pipeline.site.redact import redact, secrets_of
from pipeline.site.ytdlp import YT_DLP_VERSION, RecordingYoutubeDL, Session, no_token, open_site

_SITES: dict[tuple[Any, ...], RecordingYoutubeDL] = {}
"""One guest session per identity, client list and thread of this process: sessions are reused, not churned. Each
loads the player's script once, and keeps what was solved with it.
"""

MAX_SITES = 32


def site_for(
    config: CrawlConfig, identity: IdentityConfig, clients: tuple[str, ...], session: Session
) -> RecordingYoutubeDL:
    """This process's yt-dlp object for an identity, ready for the next work. Raises StopRun as `open_site` does."""
    key = (
        threading.get_ident(),
        *(identity.name, identity.proxy.get_secret_value(), identity.cookies, clients),
        repr(given_options(config, identity)),
    )
    site = _SITES.get(key)
    if site is None or site.is_old:
        if site is not None:
            site.close()
        if len(_SITES) >= MAX_SITES:
            forget_sites()
        site = _SITES[key] = open_site(options_for(config, identity, clients), session)
    site.begin(session)
    return site


def check_identities(config: CrawlConfig) -> None:
    """Builds the yt-dlp of each identity, so that invalid options show before a run.

    Cookie files are left to the workers, which read them. Raises UserError naming the identity and the cure.
    """
    known = yt_dlp.parse_options([]).ydl_opts.keys() | HARMLESS | LIBRARY_OPTIONS
    for identity in config.pool():
        for name in given_options(config, identity):
            if name not in known:
                raise UserError(f"ydl_opts of identity {identity.name}: yt-dlp {YT_DLP_VERSION} has no option {name}")
        try:
            options = options_for(config, identity.model_copy(update={"cookies": None}))
            open_site(options, Session(no_token, time.monotonic())).close()
        except (YoutubeDLError, *EXTRACTOR_BUGS) as error:
            said = redact(str(error).splitlines()[0] if str(error) else type(error).__name__, secrets_of(config))
            cure = "pip install 'hdvila[impersonate]'" if "impersonate" in said.casefold() else "see its ydl_opts"
            raise UserError(f"identity {identity.name}: yt-dlp cannot be set up: {said}; {cure}") from None


def status_of_site(config: CrawlConfig, identity: IdentityConfig, timeout_s: float) -> int:
    """The status of the site's first page. Raises RequestError without an answer, StopRun for unusable cookies."""
    options = {**options_for(config, identity), "socket_timeout": timeout_s}
    session = Session(no_token, time.monotonic() + 4 * timeout_s)
    try:
        with open_site(options, session) as site, site.urlopen("https://www.youtube.com/") as answer:
            return int(answer.status)
    except HTTPError as error:
        return int(error.status)


LIBRARY_OPTIONS = frozenset({"retry_sleep_functions", "match_filter", "postprocessor_hooks", "post_hooks"})
"""Options available only to programs, not on yt-dlp's command line."""


def forget_sites(identity: str = "") -> None:
    """Closes the sessions of an identity (or of all): after a refusal, a new session starts afresh. A thread that is
    using one goes on with it.
    """
    for key in [key for key in list(_SITES) if identity in ("", key[1])]:
        if site := _SITES.pop(key, None):
            site.close()

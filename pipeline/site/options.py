"""Turns an identity's settings into yt-dlp's options."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yt_dlp.networking.impersonate import ImpersonateTarget

from manifests.errors import UserError
from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.engine.work.unit import StopRun
from pipeline.site.transfers import SOCKET_TIMEOUT_S

NETSCAPE_FIELDS = 7

POT_PLUGIN = "youtubepot-bgutilhttp"
"""Where the common plugin for PO tokens (bgutil-ytdlp-pot-provider, GPL: the user installs it) has its settings."""
REQUEST_RETRIES = 3
"""Of one request inside yt-dlp: its own default for an extractor. More would hide a refusal from our pauses."""


def options_for(config: CrawlConfig, identity: IdentityConfig, clients: tuple[str, ...] = ()) -> dict[str, Any]:
    """yt-dlp's options for an identity, asking as `clients` (none: those of `crawl.extractor_args`,
    `crawl.player_clients` or else yt-dlp's defaults).

    Raises StopRun (bad_cookies) if its cookie file cannot be read, UserError for an unknown browser to impersonate.
    """
    given = config.ydl_opts.get_secret_value()
    options: dict[str, Any] = {
        "cachedir": False,
        "noplaylist": True,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retries": REQUEST_RETRIES,
        "extractor_retries": REQUEST_RETRIES,
        "fragment_retries": REQUEST_RETRIES,
        "writesubtitles": True,  # writes nothing (downloads switch it off); makes yt-dlp say which tracks it drops
        "updatetime": False,
        "ignoreerrors": False,
        "quiet": True,
        "noprogress": True,
        **given,
        "extractor_args": extractor_args(config, identity, clients),
    }
    if proxy := identity.proxy.get_secret_value():
        options["proxy"] = proxy
    if identity.cookies is not None:
        options["cookiefile"] = _cookies_in_memory(identity.cookies)
    if identity.source_address:
        options["source_address"] = identity.source_address
    if headers := {**given.get("http_headers", {}), **identity.headers.get_secret_value()}:
        options["http_headers"] = headers
    if target := identity.impersonate or config.impersonate or given.get("impersonate"):
        options["impersonate"] = impersonation(target)
    return options


def impersonation(target: Any) -> Any:
    """yt-dlp's own object for a browser to impersonate, such as `chrome` or `chrome-131:windows-10`."""
    if not isinstance(target, str):
        return target
    try:
        return ImpersonateTarget.from_str(target.lower())
    except ValueError:
        raise UserError(
            f"impersonate: {target!r} is not a browser that yt-dlp knows; write chrome, safari, edge …"
        ) from None


def extractor_args(
    config: CrawlConfig, identity: IdentityConfig, clients: tuple[str, ...]
) -> dict[str, dict[str, list[str]]]:
    """The crawl's own extractor arguments, overridden by the configured ones, those by `clients` and the identity's."""
    players = [*config.player_clients] or ["default"]
    own: dict[str, dict[str, list[str]]] = {
        "youtube": {"player_client": players, "skip": ["translated_subs"], "raise_incomplete_data": ["1"]}
    }
    if config.pot_provider:
        own[POT_PLUGIN] = {"base_url": [config.pot_provider]}
    given: Mapping[str, Mapping[str, list[str]]] = config.extractor_args.get_secret_value()
    merged = {name: {**own.get(name, {}), **given.get(name, {})} for name in {**own, **given}}
    if clients:
        merged["youtube"]["player_client"] = list(clients)
    if identity.po_tokens:
        merged["youtube"]["po_token"] = [token.get_secret_value() for token in identity.po_tokens]
    if visitor := identity.visitor_data.get_secret_value():
        merged["youtube"]["visitor_data"] = [visitor]
    return merged


def _cookies_in_memory(path: Path) -> io.StringIO:
    """Copies a cookie file into memory: yt-dlp writes its cookie file back, and the user's own must stay as it is."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StopRun(
            Reason.BAD_COOKIES, f"{path}: cannot be read ({type(error).__name__}); export the cookies again"
        ) from None
    if not any(line.count("\t") == NETSCAPE_FIELDS - 1 for line in text.splitlines()):
        raise StopRun(Reason.BAD_COOKIES, f"{path}: holds no cookie in Netscape format; export the cookies again")
    return io.StringIO(text)

"""Turns an identity's settings into yt-dlp's options."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yt_dlp.networking.impersonate import ImpersonateTarget

from manifests.errors import UserError
from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.config.ydl_opts import ARGS
from pipeline.engine.work.unit import StopRun
from pipeline.site.transfers import SOCKET_TIMEOUT_S

NETSCAPE_FIELDS = 7

REQUEST_RETRIES = 3
"""Of one request inside yt-dlp: its own default for an extractor. More would hide a refusal from our pauses."""


OWN_ARGS = {
    "youtube": {"player_client": ["default"], "skip": ["translated_subs"], "raise_incomplete_data": ["1"]},
}
"""The crawl's own arguments of extractors."""


def options_for(config: CrawlConfig, identity: IdentityConfig, clients: tuple[str, ...] = ()) -> dict[str, Any]:
    """yt-dlp's options for an identity, asking as `clients` (none: those of its ydl_opts, or yt-dlp's defaults).

    Raises StopRun (bad_cookies) if its cookie file cannot be read, UserError for an unknown browser to impersonate.
    """
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
        **given_options(config, identity),
    }
    options[ARGS] = _over(OWN_ARGS, options.get(ARGS, {}))
    if clients:
        options[ARGS]["youtube"]["player_client"] = list(clients)
    if proxy := identity.proxy.get_secret_value():
        options["proxy"] = proxy
    if identity.cookies is not None:
        options["cookiefile"] = _cookies_in_memory(identity.cookies)
    if "impersonate" in options:
        options["impersonate"] = impersonation(options["impersonate"])
    return options


def given_options(config: CrawlConfig, identity: IdentityConfig) -> dict[str, Any]:
    """The configured options of an identity: its own over those of all, headers and arguments one by one."""
    of_all, own = config.ydl_opts.get_secret_value(), identity.ydl_opts.get_secret_value()
    given = {**of_all, **own}
    if "http_headers" in given:
        given["http_headers"] = {**of_all.get("http_headers", {}), **own.get("http_headers", {})}
    if ARGS in given:
        given[ARGS] = _over(of_all.get(ARGS, {}), own.get(ARGS, {}))
    return given


def _over(lower: Mapping[str, Mapping[str, Any]], upper: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Arguments by extractor, those of `upper` over those of `lower`."""
    return {name: {**lower.get(name, {}), **upper.get(name, {})} for name in {**lower, **upper}}


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

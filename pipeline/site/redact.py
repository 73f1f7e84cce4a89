"""Removes secrets from a text before it reaches a log, a row, a reject or a report."""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.config.crawl import CrawlConfig

_QUERY = re.compile(r"(?P<base>\bhttps?://[^\s?#'\"<>]{1,2000})\?[^\s'\"<>]*", re.IGNORECASE)
_BARE_QUERY = re.compile(r"(?<![\w./~%-])(?P<base>(?=[\w~%-]*[./])[\w./~%-]+)\?(?=[\w.%-]{1,80}=)[^\s'\"<>]*")
"""A query after a path or host name without a scheme: `/videoplayback?expire=…`. "What? he said" is no query."""

_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@'\"]{1,500}@", re.IGNORECASE)
_BARE_USERINFO = re.compile(r"(?<![^\s'\"(])[^\s/@:'\"]{1,200}:[^\s/@'\"]{1,500}@(?=[\w.-]{1,255}:\d{2,5}\b)")
_COOKIE_HEADER = re.compile(r"(?P<name>\b(?:set-)?cookie\s*[:=]\s*)(?=[\w!#$%&*+.^`|~-]+=)[^\r\n]+", re.IGNORECASE)
_TOKEN_HEADER = re.compile(
    r"(?P<name>\b(?:authorization|proxy-authorization|x-goog-[a-z-]+)\s*[:=]\s*)[^\r\n]+", re.IGNORECASE
)
_KEY = re.compile(r"(?<![\w-])AIza[\w-]{35}(?![\w-])")
"""A key of one of Google's APIs, wherever it stands."""

_COOKIE = re.compile(
    r"\b(?P<name>__Secure-[\w-]+|__Host-[\w-]+|S?H?SID|SSID|S?APISID|SIDCC|LSID|OSID|NID|LOGIN_INFO|VISITOR_INFO1_LIVE"
    r"|VISITOR_PRIVACY_METADATA|YSC|PREF|CONSENT|SOCS)=[^\s;,'\"]+"
)
"""The site's own cookies by name: a message may contain such a pair without a header before it."""

_COOKIE_LINE = re.compile(r"^(?P<head>(?:[^\t\n]+\t){6})[^\t\r\n]+", re.MULTILINE)
"""A line of a Netscape cookie file: seven tab-separated fields, the value last."""

# Repetitions are bounded or anchored: texts come from the site too, and a long text must not take minutes.

TOO_SHORT_TO_HIDE = 6
"""A shorter secret would blank parts of ordinary words."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Removes URL queries (media addresses are signed there), user names and passwords in addresses, cookies,
    authorization headers, and each given secret where it is not part of a longer word.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= TOO_SHORT_TO_HIDE:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    text = _QUERY.sub(r"\g<base>?***", text)
    text = _BARE_QUERY.sub(r"\g<base>?***", text)
    text = _USERINFO.sub(r"\g<scheme>***@", text)
    text = _BARE_USERINFO.sub("***@", text)
    text = _COOKIE_HEADER.sub(r"\g<name>***", text)
    text = _TOKEN_HEADER.sub(r"\g<name>***", text)
    text = _COOKIE.sub(r"\g<name>=***", text)
    text = _KEY.sub("***", text)
    return _COOKIE_LINE.sub(r"\g<head>***", text)


PLAIN = frozenset(
    {"source_address", "geo_bypass_country", "impersonate", "js_runtimes", "player_client", "player_skip", "skip"}
    | {"lang", "formats", "webpage_client", "webpage_skip"}
)
"""Options of yt-dlp, and arguments of extractors, whose values are ordinary words: messages may contain them."""


def secrets_of(config: CrawlConfig) -> list[str]:
    """Every secret string of a configuration, to be removed from texts."""
    secrets: list[str] = [config.data_api.key]
    for identity in config.pool():
        proxy = identity.proxy.get_secret_value()
        secrets += [proxy, *_password_of(proxy)]
    for options in (config.ydl_opts, *(identity.ydl_opts for identity in config.pool())):
        secrets += [part for text in _strings(options.get_secret_value()) for part in _parts_of(text)]
    return [secret for secret in secrets if secret]


def _parts_of(token: str) -> list[str]:
    """A PO token as it is written, and without the client in front of it."""
    return [token, token.partition("+")[2]]


def _password_of(proxy: str) -> list[str]:
    try:
        password = urlsplit(proxy).password or ""
    except ValueError:
        return []
    return [password, unquote(password)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in PLAIN:
                yield from _strings(inner)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _strings(inner)

"""Takes secrets out of a text before it reaches a log, a row, a reject or a report."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.config.crawl import CrawlConfig

_QUERY = re.compile(r"(?P<base>\bhttps?://[^\s?#'\"<>]+)\?[^\s'\"<>]*", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]+@", re.IGNORECASE)
_HEADER = re.compile(r"(?P<name>\b(?:cookie|set-cookie|authorization|x-goog-[a-z-]+)\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
_TOO_SHORT_TO_HIDE = 4


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without URL queries (media addresses are signed there), URL user names and passwords, cookie and
    authorization headers, and without each given secret of at least 4 characters.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _TOO_SHORT_TO_HIDE:
            text = text.replace(secret, "***")
    text = _QUERY.sub(r"\g<base>?***", text)
    text = _USERINFO.sub(r"\g<scheme>***@", text)
    return _HEADER.sub(r"\g<name>***", text)


def secrets_of(config: CrawlConfig) -> list[str]:
    """Every secret string of a configuration: to be taken out of texts."""
    found = [identity.proxy.get_secret_value() for identity in config.pool()]
    found += [str(value) for value in _strings(config.ydl_opts.get_secret_value())]
    return [secret for secret in found if secret]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _strings(inner)

"""Which yt-dlp options a configuration may set: those that run nothing, read and write no file, and redirect no request
to another host. A configuration may come from a stranger; yt-dlp's other options run programs (postprocessors,
external downloaders, `netrc_cmd`, plugins), read files (`enable_file_urls`, browsers' cookies) or write them.

All others require `--trust-ydl-opts` on the command line, which no configuration can set.
"""

import difflib
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationInfo

TRUST = "trust_ydl_opts"
"""The key of the validation context by which the command line declares `ydl_opts` trusted."""

OWN_OPTIONS = frozenset(
    {"ignoreerrors", "logger", "quiet", "noprogress", "skip_download", "format", "outtmpl", "download_archive"}
    | {"cookiefile", "proxy", "progress_hooks", "merge_output_format", "extractor_args", "playlist_items"}
    | {"postprocessor_args", "ffmpeg_location"}
)
"""Options that the crawl itself must set: not even a trusted configuration may give them."""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _word(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= 200


def _headers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_word(k) and _word(v) for k, v in value.items())


def _runtimes(value: Any) -> bool:
    """Whether these are runtimes by name, found on the PATH; a path would let a configuration run any program."""
    return isinstance(value, Mapping) and all(_word(name) and not options for name, options in value.items())


def _callables(value: Any) -> bool:
    """Whether these are functions, as a program that builds its configuration in Python can give; YAML can't."""
    return isinstance(value, Mapping) and all(callable(function) for function in value.values())


HARMLESS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("socket_timeout", "retries", "fragment_retries", "extractor_retries", "file_access_retries"),
        (_number, "a number"),
    ),
    **dict.fromkeys(
        ("sleep_interval", "max_sleep_interval", "sleep_interval_requests", "sleep_interval_subtitles"),
        (_number, "seconds"),
    ),
    **dict.fromkeys(("ratelimit", "buffersize", "http_chunk_size"), (_number, "bytes")),
    **dict.fromkeys(("noresizebuffer", "geo_bypass", "legacyserverconnect"), (_flag, "true or false")),
    "nocheckcertificate": (_flag, "true or false"),
    "cachedir": (lambda value: value is False, "false"),
    **dict.fromkeys(("source_address", "geo_bypass_country", "impersonate"), (_word, "a word")),
    "http_headers": (_headers, "a mapping of names to values"),
    "js_runtimes": (_runtimes, "a mapping of names to {}, such as {node: {}}"),
    "retry_sleep_functions": (_callables, "a mapping of names to functions"),
}
"""Option → (whether a value has the right type, that type in words)."""

HARMLESS_ARGS: dict[str, frozenset[str]] = {
    "youtube": frozenset(
        {"player_client", "player_skip", "player_params", "player_js_version", "player_js_variant", "skip", "lang"}
        | {"po_token", "fetch_pot", "visitor_data", "data_sync_id", "raise_incomplete_data", "formats"}
        | {"include_duplicate_formats", "use_ad_playback_context", "webpage_client", "webpage_skip"}
    ),
    "youtubetab": frozenset({"skip", "approximate_date"}),
}
"""Extractor arguments that change what the site is asked. Not `innertube_host`: it would ask another host."""


def is_trusted(info: ValidationInfo) -> bool:
    """Whether the command line declared `ydl_opts` and `extractor_args` trusted."""
    return bool((info.context or {}).get(TRUST))


def check_options(options: Mapping[str, Any], *, trusted: bool) -> None:
    """Raises ValueError for an option that the configuration may not set, or whose value has the wrong type."""
    for name, value in options.items():
        if name in OWN_OPTIONS:
            raise ValueError(f"{name} is set by the crawl itself and cannot be given in ydl_opts")
        if name not in HARMLESS:
            if trusted:
                continue
            raise ValueError(_refusal(name, HARMLESS))
        fits, kind = HARMLESS[name]
        if not fits(value) and not (trusted and name in ("cachedir", "js_runtimes")):
            raise ValueError(f"{name} takes {kind}")


def check_args(args: Mapping[str, Mapping[str, Any]], *, trusted: bool) -> None:
    """Raises ValueError for an extractor argument that the configuration may not set."""
    for extractor, given in args.items():
        for name in given if not trusted else ():
            if name not in HARMLESS_ARGS.get(extractor, ()):
                known = [f"{e}.{n}" for e, names in HARMLESS_ARGS.items() for n in names]
                raise ValueError(_refusal(f"{extractor}.{name}", known))


POT_HOSTS = "HDVILA_POT_HOSTS"
"""The environment variable of the hosts, apart from this machine, that may be asked for PO tokens: not a setting, since
a provider is told each identity's proxy, with its password.
"""


def check_provider(address: str, *, trusted: bool) -> None:
    """Raises ValueError unless a provider of PO tokens is at an http(s) address of this machine or of a listed host."""
    parts = urlsplit(address)
    if address and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise ValueError("write the address of a provider of PO tokens as http://127.0.0.1:4416")
    listed = os.environ.get(POT_HOSTS, "").replace(",", " ").split()
    if address and not trusted and parts.hostname not in ("127.0.0.1", "::1", "localhost", *listed):
        raise ValueError(
            f"{parts.hostname} is not this machine, and a provider is told every proxy with its password: list it in "
            f"the environment variable {POT_HOSTS}, or give --trust-ydl-opts on the command line"
        )


def _refusal(name: str, known: Any) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    guess = f"; did you mean {nearest[0]}?" if nearest else "."
    return (
        f"{name} is not an option that a configuration may set{guess} Other options of yt-dlp can run programs "
        "and read or write files: give them with --trust-ydl-opts on the command line, if you wrote this configuration"
    )

"""Which yt-dlp options a configuration may set: those that run nothing, read and write no file, and redirect no request
to another host. A configuration may come from a stranger; yt-dlp's other options run programs (postprocessors,
external downloaders, `netrc_cmd`, plugins), read files (`enable_file_urls`, browsers' cookies) or write them.

All others require `--trust-ydl-opts` on the command line, which no configuration can set.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationInfo

TRUST = "trust_ydl_opts"
"""The key of the validation context by which the command line declares `ydl_opts` trusted."""

OWN_OPTIONS = frozenset(
    {"ignoreerrors", "logger", "quiet", "noprogress", "skip_download", "format", "outtmpl", "download_archive"}
    | {"cookiefile", "proxy", "progress_hooks", "merge_output_format", "playlist_items"}
    | {"postprocessor_args", "ffmpeg_location"}
)
"""Options that the crawl itself must set: not even a trusted configuration may give them."""

HARMLESS = frozenset(
    {"socket_timeout", "retries", "fragment_retries", "extractor_retries", "file_access_retries", "ratelimit"}
    | {"sleep_interval", "max_sleep_interval", "sleep_interval_requests", "sleep_interval_subtitles", "buffersize"}
    | {"http_chunk_size", "noresizebuffer", "geo_bypass", "geo_bypass_country", "legacyserverconnect"}
    | {"nocheckcertificate", "source_address", "impersonate", "http_headers", "retry_sleep_functions"}
)
ARGS = "extractor_args"
HARMLESS_ARGS = frozenset(
    {"youtube.player_client", "youtube.player_skip", "youtube.player_params", "youtube.player_js_version"}
    | {"youtube.player_js_variant", "youtube.skip", "youtube.lang", "youtube.po_token", "youtube.fetch_pot"}
    | {"youtube.visitor_data", "youtube.data_sync_id", "youtube.raise_incomplete_data", "youtube.formats"}
    | {"youtube.include_duplicate_formats", "youtube.use_ad_playback_context", "youtube.webpage_client"}
    | {"youtube.webpage_skip", "youtubetab.skip", "youtubetab.approximate_date"}
)
"""Arguments of extractors that change what the site is asked. Not `innertube_host`: it would ask another host."""


def is_trusted(info: ValidationInfo) -> bool:
    """Whether the command line declared `ydl_opts` trusted."""
    return bool((info.context or {}).get(TRUST))


def check_options(options: Mapping[str, Any], *, trusted: bool) -> None:
    """Raises ValueError for an option, or an argument of an extractor, that the configuration may not set."""
    args = options.get(ARGS, {})
    if not isinstance(args, Mapping) or not all(isinstance(given, Mapping) for given in args.values()):
        raise ValueError(f"{ARGS} takes lists by extractor and argument, such as {{youtube: {{player_client: [tv]}}}}")
    for name in options:
        if name in OWN_OPTIONS:
            raise ValueError(f"{name} is set by the crawl itself and cannot be given in ydl_opts")
    names = options.keys() - HARMLESS - {ARGS}
    given_args = {f"{extractor}.{name}" for extractor, given in args.items() for name in given}
    refused = [*sorted(names), *sorted(given_args - HARMLESS_ARGS)]
    if refused and not trusted:
        raise ValueError(
            f"{refused[0]} is not an option that a configuration may set. Other options of yt-dlp can run programs and "
            "read or write files: give them with --trust-ydl-opts on the command line, if you wrote this configuration"
        )

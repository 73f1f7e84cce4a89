"""yt-dlp's info with values of the kinds that it documents: any other is left out, as if the site had not said it.

yt-dlp hands through what a page holds. A view count of text, or a list of formats that is none, would otherwise be an
error of this program for each video of a page that has changed.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.engine.work.boundary import plain

_LARGEST = 2**53
_NONE = object()

Reader = Callable[[Any], Any]
"""The value as it is documented, or _NONE."""


def _text(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else _NONE


def _number(value: Any) -> Any:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_one and math.isfinite(value) and abs(value) < _LARGEST else _NONE


def _list_of(read: Reader) -> Reader:
    def read_all(value: Any) -> Any:
        items = [read(item) for item in value] if isinstance(value, list | tuple) else []
        return [item for item in items if item is not _NONE]

    return read_all


def _entry(kinds: Mapping[str, Reader]) -> Reader:
    """A dictionary: the keys of `kinds` as they are documented, all others as they are."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return _NONE
        read_values = {key: kinds[key](item) if key in kinds else item for key, item in value.items()}
        return {key: item for key, item in read_values.items() if item is not _NONE}

    return read


def _format(value: Any) -> Any:
    read = _entry(_FORMAT)(value)
    return read if read is not _NONE and "format_id" in read else _NONE


def _tracks(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else ()
    return {plain(key): _ENTRIES(entries) for key, entries in pairs if isinstance(key, str)}


_ENTRIES = _list_of(_entry({"ext": _text, "url": _text}))
_FORMAT = dict.fromkeys(
    ("format_id", "ext", "vcodec", "acodec", "protocol", "language", "format_note", "dynamic_range", "url"), _text
) | dict.fromkeys(("width", "height", "fps", "tbr", "abr", "filesize", "language_preference"), _number)
_INFO: dict[str, Reader] = {
    **dict.fromkeys(("id", "title", "channel", "channel_id", "license", "language", "live_status"), _text),
    **dict.fromkeys(("_type", "media_type", "upload_date"), _text),
    **dict.fromkeys(("duration", "view_count", "age_limit", "release_timestamp"), _number),
    **dict.fromkeys(("categories", "tags"), _list_of(_text)),
    **dict.fromkeys(("subtitles", "automatic_captions"), _tracks),
    "chapters": _list_of(_entry({"title": _text})),
    "formats": _list_of(_format),
}


def documented(info: Mapping[str, Any]) -> dict[str, Any]:
    """The same info without the values of other kinds."""
    read: dict[str, Any] = _entry(_INFO)(dict(info))
    return read

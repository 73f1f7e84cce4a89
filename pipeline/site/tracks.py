"""Which caption tracks of a video are real, from yt-dlp's two dictionaries.

`subtitles` are uploaded by people. `automatic_captions` hold the speech recognition *and* every machine translation:
the recognition is the key that ends in `-orig`, or an address with `kind=asr` and no `tlang`. A named manual track has
a key such as `en-nP7-2PuUl7o`, so languages are matched by their first part.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.text.captions.markup import MAX_BYTES as MAX_CAPTION_BYTES
from pipeline.text.captions.track import current_tag, primary

__all__ = ["MAX_CAPTION_BYTES", "CaptionTrack", "choose_tracks", "list_tracks", "speaks"]

FORMATS = ("json3", "vtt")
"""Caption formats, in order of preference: the first has the times of single words."""
ORIGINAL = "-orig"
_RECOGNITION = re.compile(r"[?&]kind=asr(?:&|$)")
_TRANSLATED = re.compile(r"[?&]tlang=")


@dataclass(frozen=True, slots=True)
class CaptionTrack:
    """One track in the format to fetch. `url` is signed: never log it."""

    kind: str  # manual | auto
    key: str  # yt-dlp's key: en, en-US, en-orig …
    language: str  # the key without -orig
    format: str
    url: str


def choose_tracks(
    subtitles: Mapping[str, Any] | None,
    automatic: Mapping[str, Any] | None,
    *,
    languages: Sequence[str],
    kinds: Sequence[str] = ("manual", "auto"),
) -> list[CaptionTrack]:
    """The best track of each kind in a wanted language (empty: any), manual before automatic; [] if none."""
    tracks = []
    if "manual" in kinds and (key := best_manual_key(subtitles or {}, languages)):
        tracks.append(_track("manual", key, (subtitles or {})[key]))
    if "auto" in kinds and (key := best_automatic_key(automatic or {}, languages)):
        tracks.append(_track("auto", key, (automatic or {})[key]))
    return [track for track in tracks if track is not None]


def best_manual_key(subtitles: Mapping[str, Any], languages: Sequence[str]) -> str:
    """The exact language, else a regional or named track of it (shortest key first, then by name); "" if none."""
    for language in _wanted(languages, subtitles):
        matching = [key for key in subtitles if key != "live_chat" and speaks(key, language)]
        if matching:
            return min(matching, key=lambda key: (key.casefold() != language.casefold(), len(key), key))
    return ""


def best_automatic_key(automatic: Mapping[str, Any], languages: Sequence[str]) -> str:
    """The key of the speech recognition in a wanted language, never of a translation; "" if none."""
    real = [key for key in automatic if _is_recognition(key, automatic[key])]
    for language in _wanted(languages, real):
        matching = [key for key in real if speaks(key.removesuffix(ORIGINAL), language)]
        if matching:
            return min(matching, key=lambda key: (not key.endswith(ORIGINAL), len(key), key))
    return ""


def speaks(tag: str, language: str) -> bool:
    """Whether a language tag is the language or a variant of it: en-US and en-nP7 match en, enm does not, iw is he."""
    tag, language = current_tag(tag), current_tag(language)
    return tag == language or tag.startswith(f"{language}-")


def list_tracks(subtitles: Mapping[str, Any] | None, automatic: Mapping[str, Any] | None) -> list[str]:
    """Every real track as `manual:en`, `auto:en-orig`, sorted: the form of the videos table."""
    manual = [f"manual:{key}" for key in subtitles or {} if key != "live_chat"]
    return sorted(manual) + sorted(
        f"auto:{key}" for key, entries in (automatic or {}).items() if _is_recognition(key, entries)
    )


def _wanted(languages: Sequence[str], keys: Any) -> Sequence[str]:
    return languages or sorted({primary(key) for key in keys if key != "live_chat"})


def _is_recognition(key: str, entries: Any) -> bool:
    """Checks the key, else its first format's address (a real list has hundreds of translations in 7 formats)."""
    if key.endswith(ORIGINAL):
        return True
    url = next((str(entry.get("url", "")) for entry in entries if isinstance(entry, dict)), "")
    return _RECOGNITION.search(url) is not None and _TRANSLATED.search(url) is None


def _track(kind: str, key: str, entries: Any) -> CaptionTrack | None:
    by_format = {e["ext"]: e["url"] for e in entries if isinstance(e, dict) and e.get("ext") and e.get("url")}
    for wanted in FORMATS:
        if wanted in by_format:
            return CaptionTrack(kind, key, key.removesuffix(ORIGINAL), wanted, by_format[wanted])
    return None

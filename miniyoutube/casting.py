"""Gives a well-behaved video a behaviour of `misbehave.BEHAVIOURS`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from miniyoutube.catalogue import (
    AUTO_EN,
    AUTO_ES,
    MANUAL_EN,
    MANUAL_EN_US,
    MANUAL_ES,
    NAMED_EN,
    Track,
    Video,
)
from miniyoutube.misbehave import BEHAVIOURS

_TRACKS: dict[str, tuple[Track, ...]] = {
    "locked": (replace(MANUAL_EN, locked=True), replace(AUTO_EN, locked=True)),
    "spanish": (MANUAL_ES, AUTO_ES),
    "translatable": (MANUAL_ES,),
    "automatic": (AUTO_EN,),
    "regional": (MANUAL_EN_US, AUTO_EN),
    "named": (NAMED_EN,),
    **{answer: (replace(MANUAL_EN, answer=answer),) for answer in ("empty", "no_text", "html", "cut", "elsewhere")},
}
"""Sets of caption tracks, by the names that behaviours use."""


def cast(video: Video, behaviour: str, *, another_category: int = -1, original: Video | None = None) -> Video:
    """Gives the video a behaviour's faults and changes.

    `wrong_category` needs `another_category` (it is listed there); `reupload` needs the `original` (same words,
    same files).
    """
    row = BEHAVIOURS[behaviour]
    changes: dict[str, Any] = dict(row.changes)
    if isinstance(tracks := changes.get("tracks"), str):
        changes["tracks"] = _TRACKS[tracks]
    if "listed_under" in changes:
        changes["listed_under"] = another_category
    if language := changes.pop("language", ""):
        changes |= {"script": replace(video.script, language=language), "tracks": _TRACKS["spanish"]}
    if "copy_of" in changes:
        if original is None:
            raise ValueError("a re-upload needs its original")
        changes |= {"copy_of": original.video_id, "script": original.script, "footage": original.footage}
    return replace(video, behaviour=behaviour, faults=row.faults, **changes)

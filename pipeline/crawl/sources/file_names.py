"""Finds the site's id in a file name, where yt-dlp's templates put it."""

import re

FORMAT_SUFFIX = re.compile(r"\.f\d{1,4}(?:-\w{1,12})?$")
"""What yt-dlp appends to a stream that it did not merge: `Title [ID].f137.mp4`."""
_ID = r"(?P<id>[A-Za-z0-9_-]{11})"
BRACKETED = re.compile(rf"[\[(]{_ID}[\])]$")
LAST = re.compile(rf"(?:^|.[-.]){_ID}$")
FIRST = re.compile(rf"^{_ID}(?: - )")


def without_format(stem: str) -> str:
    """A name without the format that yt-dlp adds to unmerged parts; sidecar files are named without it."""
    return FORMAT_SUFFIX.sub("", stem)


def id_in_name(stem: str) -> str:
    """The site's id in a file name without extension, as yt-dlp's templates put it there; "" if none is certain.

    `Title [ID]` and `Title (ID)`, `Title-ID` (the older default), `Title.ID`, `ID` and `ID - Title`, each also with the
    format that yt-dlp adds to unmerged parts (`.f137`). Without brackets only what looks random counts: a word of
    eleven letters is not an id.
    """
    stem = without_format(stem)
    if match := BRACKETED.search(stem):
        return match["id"]
    for pattern in (LAST, FIRST):
        if (match := pattern.search(stem)) and _looks_drawn(match["id"]):
            return match["id"]
    return ""


def _looks_drawn(text: str) -> bool:
    """Whether eleven characters are more likely a random id than a word: digits inside, or mixed-case letters."""
    inside = text[1:]
    mixed = any(a.isupper() for a in inside) and any(a.islower() for a in inside)
    return mixed or (any(a.isdigit() for a in text) and any(a.isalpha() for a in text))

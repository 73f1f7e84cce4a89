"""The ids source: a text file of video ids or addresses, one a line; `#` begins a comment."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pipeline.sources import Listed
from pipeline.sources.lines import read_lines

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")


def list_file(path: Path, cursor: int) -> Iterator[tuple[Listed, int]]:
    """(result, byte after its line). A line that holds no id is a result too: it becomes a reject `bad_id`."""
    for position, (line, after) in enumerate(read_lines(path, cursor)):
        text = line.partition("#")[0].strip() if not line.startswith("http") else line.partition(" ")[0]
        if text:
            yield Listed(video_id_of(text) or text[:64], position), after


def video_id_of(text: str) -> str:
    """The video id of an id or an address of the site; "" where there is none."""
    if VIDEO_ID.fullmatch(text):
        return text
    try:
        parts = urlsplit(text if "//" in text else f"https://{text}")
    except ValueError:
        return ""
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.").removeprefix("music.")
    if host not in _HOSTS:
        return ""
    pieces = [piece for piece in parts.path.split("/") if piece]
    given = parse_qs(parts.query).get("v", [""])[0] or (pieces[-1] if pieces else "")
    return given if VIDEO_ID.fullmatch(given) else ""


def is_site_id(video_id: str) -> bool:
    """Whether this can be a video id of the site."""
    return VIDEO_ID.fullmatch(video_id) is not None

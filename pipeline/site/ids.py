"""The site's video ids: what can be one, and the id in an address."""

import re
from urllib.parse import parse_qs, urlsplit

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")


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

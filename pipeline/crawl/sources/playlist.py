"""The playlist source: a playlist's videos in its order."""

import re
from urllib.parse import parse_qs

from manifests.errors import UserError

_PLAYLIST_ID = re.compile(r"[A-Za-z0-9_-]{13,64}")


def url_of(playlist: str) -> str:
    """The address of a playlist, from its id or address. UserError for anything else."""
    given = parse_qs(playlist.partition("?")[2]).get("list", [playlist])[0]
    if not _PLAYLIST_ID.fullmatch(given):
        raise UserError(f"crawl.playlists: {playlist!r} is not a playlist; give its id (PL…) or its address")
    return f"https://www.youtube.com/playlist?list={given}"

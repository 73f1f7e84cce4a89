"""The addresses of the site's lists, for the sources that are asked of the site: search, channel and playlist.

search      words, with the site's own filter                channel     a channel's videos, newest first
playlist    a playlist's videos in its order
"""

import re
from urllib.parse import parse_qs, quote, urlencode

from manifests.errors import UserError
from pipeline.crawl.sources import SEARCHES

SEARCH_FILTER = "EgQQASgB"
"""The site's `sp` value for videos with subtitles."""
_CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
_HANDLE = re.compile(r"@[\w.-]{1,60}")
_ADDRESS = re.compile(
    r"https?://(?:www\.|m\.)?youtube\.com/(channel/UC[\w-]{22}|@[\w.-]{1,60}|c/[\w.-]+|user/[\w.-]+)(?:/.*)?"
)
_PLAYLIST_ID = re.compile(r"[A-Za-z0-9_-]{13,64}")


def address_of(source: str, query: str) -> str:
    """The address of a list of the site. UserError for what is no id or address of such a list."""
    if source in SEARCHES:
        return search_url(query)
    return channel_url(query) if source == "channel" else playlist_url(query)


def search_url(words: str) -> str:
    """The address of a search for videos with subtitles."""
    query = {"search_query": words, "sp": SEARCH_FILTER}
    return f"https://www.youtube.com/results?{urlencode(query, quote_via=quote)}"


def channel_url(channel: str) -> str:
    """The address of a channel's videos, from its id, handle or address. UserError for anything else."""
    if _CHANNEL_ID.fullmatch(channel):
        return f"https://www.youtube.com/channel/{channel}/videos"
    if _HANDLE.fullmatch(channel):
        return f"https://www.youtube.com/{channel}/videos"
    if address := _ADDRESS.fullmatch(channel):
        return f"https://www.youtube.com/{address[1]}/videos"
    raise UserError(f"crawl.channels: {channel!r} is not a channel; give an id (UC…), a handle (@…) or its address")


def playlist_url(playlist: str) -> str:
    """The address of a playlist, from its id or address. UserError for anything else."""
    return f"https://www.youtube.com/playlist?list={playlist_id(playlist)}"


def playlist_id(playlist: str) -> str:
    """The id of a playlist, from itself or its address. UserError for anything else."""
    given = parse_qs(playlist.partition("?")[2]).get("list", [playlist])[0]
    if not _PLAYLIST_ID.fullmatch(given):
        raise UserError(f"crawl.playlists: {playlist!r} is not a playlist; give its id (PL…) or its address")
    return given

"""The channel source: a channel's videos, newest first."""

import re

from manifests.errors import UserError

_CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
_HANDLE = re.compile(r"@[\w.-]{1,60}")
_ADDRESS = re.compile(
    r"https?://(?:www\.|m\.)?youtube\.com/(channel/UC[\w-]{22}|@[\w.-]{1,60}|c/[\w.-]+|user/[\w.-]+)(?:/.*)?"
)


def url_of(channel: str) -> str:
    """The address of a channel's videos, from its id, handle or address. UserError for anything else."""
    if _CHANNEL_ID.fullmatch(channel):
        return f"https://www.youtube.com/channel/{channel}/videos"
    if _HANDLE.fullmatch(channel):
        return f"https://www.youtube.com/{channel}/videos"
    if address := _ADDRESS.fullmatch(channel):
        return f"https://www.youtube.com/{address[1]}/videos"
    raise UserError(f"crawl.channels: {channel!r} is not a channel; give an id (UC…), a handle (@…) or its address")

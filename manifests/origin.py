"""Where a video comes from: valid ids of the site, what an address of it names, and whether two videos are the same."""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.addresses import usual_form

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
USUAL_ADDRESS = "https://www.youtube.com/watch?v="
"""What comes before its id in a video's address, as the site itself writes it."""
CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com", "youtubekids.com")
_ID_IN_ADDRESS = (
    r"^https?://(?:[a-z]+\.)?(?:(?:youtube\.com|youtube-nocookie\.com)/(?:[^#]*[?&]v=|(?:shorts|embed|live|v)/)"
    r"|youtu\.be/(?:[^#]*[?&]v=|(?:shorts|embed|live|v)/)?)(?P<id>[A-Za-z0-9_-]{11})(?:$|[^A-Za-z0-9_-])"
)
_BEFORE_A_VIDEO = ("shorts", "embed", "live", "v", "e", "vi", "video", "watch")
_NO_VIDEOS = ("videoseries", "live_stream")
"""What players of lists and of channels have in the place of an id: both have the length of one."""
_NOT_NAMES = frozenset({
    "about", "account", "attribution_link", "channel", "clip", "embed", "feed", "feeds", "gaming", "hashtag", "live",
    "movies", "oembed", "playlist", "post", "premium", "redirect", "results", "shorts", "source", "t", "trending", "v",
    "watch",
})  # fmt: skip
"""First pieces of paths of the site that are no channel's name."""


class Place(NamedTuple):
    """What an address of the site leads to. `kind`: video, channel (by its id), name (of a channel: @handle, c/NAME,
    user/NAME or NAME), playlist, clip; page for anything else. `name`: its id or name there.
    """

    kind: str
    name: str


def place_of(address: str) -> Place | None:
    """What an address leads to on the site, with or without a scheme; None for any other text."""
    parts = _on_site(address)
    if parts is None:
        return None
    pieces, query = [piece for piece in unquote(parts.path).split("/") if piece], parse_qs(parts.query)
    given_first, second = (*pieces, "", "")[:2]
    first = given_first.lower()
    channel = second if first == "channel" else query.get("channel_id", query.get("channel", [""]))[0]
    if CHANNEL_ID.fullmatch(channel):
        return Place("channel", channel)
    if first.startswith("@"):
        return Place("name", first)
    if first in ("c", "user") and second:
        return Place("name", f"{first}/{second.lower()}")
    is_short = (parts.hostname or "").endswith("youtu.be")
    given = query.get("v", [second if first in _BEFORE_A_VIDEO else given_first if is_short else ""])[0]
    if VIDEO_ID.fullmatch(given) and given not in _NO_VIDEOS:
        return Place("video", given)
    playlist = query.get("list", query.get("playlist_id", [""]))[0]
    if playlist:
        return Place("playlist", playlist)
    if first == "clip" and second:
        return Place("clip", second)
    if first and not is_short and first not in _NOT_NAMES:
        return Place("name", first)
    return Place("page", "/".join(pieces))


def video_id_of(text: str) -> str:
    """The video id in an id or address of the site; "" if there is none."""
    if VIDEO_ID.fullmatch(text):
        return text
    if text.startswith(USUAL_ADDRESS) and VIDEO_ID.fullmatch(text, len(USUAL_ADDRESS)):
        return text[len(USUAL_ADDRESS) :]
    place = place_of(text)
    return place.name if place and place.kind == "video" else ""


def is_of_site(address: str) -> bool:
    """Whether an address leads to the site, to a video or anything else."""
    return _on_site(address) is not None


def _on_site(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address if "//" in address.partition("?")[0] else f"https://{address}")
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    return parts if host in _HOSTS or host.partition(".")[2] in _HOSTS else None


def is_site_id(video_id: str) -> bool:
    """Whether this is a possible video id of the site."""
    return VIDEO_ID.fullmatch(video_id) is not None


def origin_of(url: str) -> str:
    """A video's identity at its origin: the site's id in its address, else the usual form of it; "" for a file."""
    if "://" not in url:
        return ""
    return video_id_of(url) or usual_form(url)


def are_site_ids(video_ids: pa.Array) -> pa.Array:
    """Whether each of these is a possible video id of the site."""
    return pc.match_substring_regex(video_ids, f"^{VIDEO_ID.pattern}$")


def same_origin(videos: pa.Table) -> dict[str, str]:
    """{video_id: the smallest id among the videos with the same address}. `videos` has columns video_id and url; a url
    of null stands for the site's usual address of that id.

    Works on whole columns, since a crawl has millions of rows; a row without an address has its own id as its origin.
    """
    ids, urls = (videos.column(name).combine_chunks() for name in ("video_id", "url"))
    rows = np.flatnonzero(pc.is_valid(urls).to_numpy(zero_copy_only=False))
    origins = _origins(ids.take(pa.array(rows)), urls.take(pa.array(rows)))
    elsewhere = pc.not_equal(ids.take(pa.array(rows)), origins)
    rows, origins = rows[elsewhere.to_numpy(zero_copy_only=False)], origins.filter(elsewhere)
    is_own = pc.is_in(ids, value_set=origins).to_numpy(zero_copy_only=False).astype(np.bool_)
    is_own[rows] = False
    own = np.flatnonzero(is_own)
    table = pa.table({"id": ids.take(pa.array(rows)), "origin": origins, "row": rows})
    of_own = ids.take(pa.array(own))
    table = pa.concat_tables([table, pa.table({"id": of_own, "origin": of_own, "row": own})]).sort_by("row")
    first = table.group_by("origin").aggregate([("id", "min"), ("id", "count")])
    several = first.filter(pc.greater(first.column("id_count"), 1))
    leader = dict(zip(several.column("origin").to_pylist(), several.column("id_min").to_pylist(), strict=True))
    shared = table.filter(pc.is_in(table.column("origin"), value_set=several.column("origin").combine_chunks()))
    pairs = zip(shared.column("id").to_pylist(), shared.column("origin").to_pylist(), strict=True)
    return {video_id: leader[origin] for video_id, origin in pairs if video_id != leader[origin]}


def _origins(ids: pa.Array, urls: pa.Array) -> pa.Array:
    site_id = pc.struct_field(pc.extract_regex(urls, _ID_IN_ADDRESS), "id")
    return pc.coalesce(site_id, pc.if_else(pc.match_substring(urls, "://"), pc.utf8_rtrim(urls, "/"), ids))

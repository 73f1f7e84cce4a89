"""Where a video comes from: valid video ids of the site, the id in an address, and whether two videos are the same."""

import re
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")
_ID_IN_ADDRESS = (
    r"^https?://(?:[a-z]+\.)?(?:youtube\.com|youtu\.be|youtube-nocookie\.com)/"
    r"(?:[^#]*[?&]v=|(?:shorts|embed|live|v)/)?(?P<id>[A-Za-z0-9_-]{11})(?:$|[^A-Za-z0-9_-])"
)


def video_id_of(text: str) -> str:
    """The video id in an id or address of the site; "" if there is none."""
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
    """Whether this is a possible video id of the site."""
    return VIDEO_ID.fullmatch(video_id) is not None


def origin_of(url: str) -> str:
    """A video's identity at its origin: the site's id in its address, else the address; "" for a file."""
    if "://" not in url:
        return ""
    return video_id_of(url) or url.strip().rstrip("/")


def same_origin(videos: pa.Table) -> dict[str, str]:
    """{video_id: the smallest id among the videos with the same address}. `videos` has columns video_id and url.

    Works on whole columns, since a crawl has millions of rows; a row without an address has its own id as its origin.
    """
    ids, urls = (videos.column(name).combine_chunks() for name in ("video_id", "url"))
    site_id = pc.struct_field(pc.extract_regex(urls, _ID_IN_ADDRESS), "id")
    address = pc.if_else(pc.match_substring(urls, "://"), pc.utf8_rtrim(urls, "/"), ids)
    table = pa.table({"id": ids, "origin": pc.coalesce(site_id, address)})
    first = table.group_by("origin").aggregate([("id", "min"), ("id", "count")])
    several = first.filter(pc.greater(first.column("id_count"), 1))
    leader = dict(zip(several.column("origin").to_pylist(), several.column("id_min").to_pylist(), strict=True))
    rows = table.filter(pc.is_in(table.column("origin"), value_set=several.column("origin").combine_chunks()))
    pairs = zip(rows.column("id").to_pylist(), rows.column("origin").to_pylist(), strict=True)
    return {video_id: leader[origin] for video_id, origin in pairs if video_id != leader[origin]}

"""Where a video comes from: valid video ids of the site, the id in an address, and whether two videos are the same."""

import re
from urllib.parse import SplitResult, parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.addresses import without_secrets

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
USUAL_ADDRESS = "https://www.youtube.com/watch?v="
"""What comes before its id in a video's address, as the site itself writes it."""
_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")
_ID_IN_ADDRESS = (
    r"^https?://(?:[a-z]+\.)?(?:youtube\.com|youtu\.be|youtube-nocookie\.com)/"
    r"(?:[^#]*[?&]v=|(?:shorts|embed|live|v)/)?(?P<id>[A-Za-z0-9_-]{11})(?:$|[^A-Za-z0-9_-])"
)


def video_id_of(text: str) -> str:
    """The video id in an id or address of the site; "" if there is none."""
    if VIDEO_ID.fullmatch(text):
        return text
    if text.startswith(USUAL_ADDRESS) and VIDEO_ID.fullmatch(text, len(USUAL_ADDRESS)):
        return text[len(USUAL_ADDRESS) :]
    parts = _on_site(text)
    if parts is None:
        return ""
    pieces = [piece for piece in parts.path.split("/") if piece]
    given = parse_qs(parts.query).get("v", [""])[0] or (pieces[-1] if pieces else "")
    return given if VIDEO_ID.fullmatch(given) else ""


def is_of_site(address: str) -> bool:
    """Whether an address leads to the site, to a video or anything else."""
    return _on_site(address) is not None


def _on_site(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address if "//" in address else f"https://{address}")
    except ValueError:
        return None
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.").removeprefix("music.")
    return parts if host in _HOSTS else None


def is_site_id(video_id: str) -> bool:
    """Whether this is a possible video id of the site."""
    return VIDEO_ID.fullmatch(video_id) is not None


def origin_of(url: str) -> str:
    """A video's identity at its origin: the site's id in its address, else the address; "" for a file."""
    if "://" not in url:
        return ""
    return video_id_of(url) or without_secrets(url.strip()).rstrip("/")


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

"""Samples for the report: a few clips of every category with a picture, the low-resolution video, and what is said."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from manifests.categories import category_name
from manifests.hashing import hash_texts
from pipeline.engine.store import Store
from pipeline.report.data import SHARD_COLUMN, members_of

PER_CATEGORY = 2
MOST_VIDEO_BYTES = 2 * 1024**2
"""Bytes of video in one page, which stays under 5 MB; further samples have their picture only."""
PICTURE_W = 320
JPEG_QUALITY = 78


@dataclass(frozen=True, slots=True)
class SampleView:
    """One clip. `picture` and `video` are data: addresses or ""; `url` is "" unless it is http(s)."""

    key: str
    shard: str
    category: str
    title: str
    text: str
    url: str
    facts: str
    origin: str
    """Channel, licence, and where the clip lies in its source."""
    at: str
    picture: str
    video: str


def choose_samples(store: Store, rows: pa.Table, seed: int = 0) -> list[SampleView]:
    """Views of PER_CATEGORY clips a category, drawn by a seeded hash of their keys: the same page for the same
    data and seed."""
    room = MOST_VIDEO_BYTES
    views = []
    for row in _drawn(rows, seed):
        members = members_of(row)
        video = b""
        if "m4v" in members and members["m4v"][1] <= room:
            video = _member(store, row, members["m4v"])
            room -= len(video)
        views.append(_view(store, row, members, video))
    return views


def _drawn(rows: pa.Table, seed: int) -> Iterator[dict[str, Any]]:
    order = np.argsort(hash_texts(rows.column("key").combine_chunks(), seed))
    categories = rows.column("category_id").to_numpy()[order]
    chosen: list[int] = []
    for category_id in sorted(set(categories.tolist()), key=lambda i: (i < 0, category_name(i))):
        chosen += order[categories == category_id][:PER_CATEGORY].tolist()
    yield from rows.take(pa.array(chosen, pa.int64())).to_pylist()


def _view(store: Store, row: dict[str, Any], members: dict[str, tuple[int, int]], video: bytes) -> SampleView:
    facts = json.loads(_member(store, row, members["json"]))
    picture = _picture(store, row, members, facts)
    seconds = row["duration_ms"] / 1000
    n_words = len(row["caption"].split())
    return SampleView(
        key=row["key"],
        shard=row[SHARD_COLUMN],
        category=category_name(row["category_id"]),
        title=facts["title"],
        text=row["caption"],
        url=address_at(facts["url"], facts["start_ms"]),
        facts=f"{seconds:.1f} s, {n_words} words, {row['height']} lines, {row['codec']}, {row['fps']:g} fps",
        origin=", ".join(
            [
                f"channel {facts['channel_id'] or 'not known'}",
                f"licence {facts['license'] or 'not known'}",
                f"{clock(facts['start_ms'])} to {clock(facts['end_ms'])} of its source",
            ]
        ),
        at=clock(facts["start_ms"]),
        picture=_data_address("image/jpeg", picture),
        video=_data_address("video/mp4", video),
    )


def _member(store: Store, row: dict[str, Any], place: tuple[int, int]) -> bytes:
    return store.read_range(row[SHARD_COLUMN], place[0], place[0] + place[1])


def _picture(store: Store, row: dict[str, Any], members: dict[str, tuple[int, int]], facts: dict[str, Any]) -> bytes:
    """The middle still, made small; b"" where the samples have none."""
    stills = json.loads(facts["stills"])
    if "mjpg" not in members or not stills:
        return b""
    still = stills[len(stills) // 2]
    start = members["mjpg"][0] + still["offset"]
    return shrink(store.read_range(row[SHARD_COLUMN], start, start + still["size"]))


def shrink(jpeg: bytes) -> bytes:
    """A JPEG no wider than PICTURE_W; b"" where it cannot be decoded."""
    import cv2

    picture = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return b""
    height, width = picture.shape[:2]
    if width > PICTURE_W:
        size = (PICTURE_W, max(1, round(height * PICTURE_W / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, small = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(small.tobytes())


def clock(ms: int) -> str:
    """A moment as people write it: 1:02:03.4, or 2:03.4."""
    tenths = ms // 100
    hours, rest = divmod(tenths, 36_000)
    minutes, seconds = divmod(rest, 600)
    text = f"{minutes}:{seconds / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{seconds / 10:04.1f}" if hours else text


def address_at(url: str, start_ms: int) -> str:
    """A watch address at a moment; "" for anything that is not http(s), which a page must not link to."""
    if urlsplit(url).scheme not in ("http", "https"):
        return ""
    return f"{url}{'&' if '?' in url else '?'}t={start_ms // 1000}"


def _data_address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}" if data else ""

"""Samples for the report: a few clips of every category with a still and the text."""

import base64
import json
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from manifests.categories import category_name
from manifests.sample import MAX_PIXELS
from pipeline.engine.store.store import Store
from pipeline.report.rows import NO_SAMPLE, WholeRow, members_of, whole_rows

log = logging.getLogger("hdvila")

MOST_JSON_BYTES = 16 * 1024**2
TITLE_CHARACTERS, TEXT_CHARACTERS = 200, 2000
PICTURE_W = 480
JPEG_QUALITY = 78


@dataclass(frozen=True, slots=True)
class SampleView:
    """One clip. `picture` is a data: address or ""; `url` is "" unless it is http(s)."""

    key: str
    shard: str
    category: str
    title: str
    text: str
    url: str
    facts: str
    origin: str
    """Channel, licence, and where the clip is in its source."""
    at: str
    picture: str


def view_samples(store: Store, drawn: pa.Table) -> list[SampleView]:
    """Views of the clips that were drawn (`Clips.drawn`)."""
    views = []
    for row in whole_rows(store, _by_category(drawn)):
        try:
            views.append(_view(store, row, members_of(row)))
        except NO_SAMPLE as error:
            log.warning("%s: sample %s is left out of the report (%.200r)", row["shard"], row["key"], error)
    return views


def _by_category(drawn: pa.Table) -> pa.Table:
    """Category after category in the order of the page, each in the order of the draw."""
    categories = drawn.column("category_id").to_pylist()
    order = sorted(range(len(categories)), key=lambda k: (categories[k] < 0, category_name(categories[k])))
    return drawn.take(pa.array(order, pa.int64()))


def _view(store: Store, row: WholeRow, members: dict[str, tuple[int, int]]) -> SampleView:
    if members["json"][1] > MOST_JSON_BYTES:
        raise ValueError(f"its json has {members['json'][1]} bytes")
    facts = json.loads(_member(store, row, members["json"]))
    picture = _picture(store, row, members, facts)
    seconds = row["duration_ms"] / 1000
    n_words = len(row["caption"].split())
    return SampleView(
        key=row["key"],
        shard=row["shard"],
        category=category_name(row["category_id"]),
        title=cut_short(str(facts["title"]), TITLE_CHARACTERS),
        text=cut_short(row["caption"], TEXT_CHARACTERS),
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
        picture=f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" if picture else "",
    )


def _member(store: Store, row: WholeRow, span: tuple[int, int]) -> bytes:
    return store.read_range(row["shard"], span[0], span[0] + span[1])


def _picture(store: Store, row: WholeRow, members: dict[str, tuple[int, int]], facts: dict[str, Any]) -> bytes:
    """The middle still, shrunk; b"" if the samples have none."""
    stills = json.loads(facts["stills"])
    if "mjpg" not in members or not stills:
        return b""
    still = stills[len(stills) // 2]
    start = members["mjpg"][0] + still["offset"]
    return shrink(store.read_range(row["shard"], start, start + still["size"]))


def shrink(jpeg: bytes) -> bytes:
    """A JPEG no wider than PICTURE_W; b"" if it cannot be decoded."""
    import cv2

    width, height = jpeg_size(jpeg)
    if not 0 < width * height <= MAX_PIXELS:
        return b""
    picture = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return b""
    height, width = picture.shape[:2]
    if width > PICTURE_W:
        size = (PICTURE_W, max(1, round(height * PICTURE_W / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, small = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(small.tobytes())


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """(width, height) from a JPEG's frame header; (0, 0) if there is none."""
    at = 2
    while jpeg[:2] == b"\xff\xd8" and at + 9 < len(jpeg) and jpeg[at] == 0xFF:
        marker, size = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        at += 2 + size
    return 0, 0


def cut_short(text: str, limit: int) -> str:
    """A text of at most `limit` characters; a longer text is truncated and ends in …"""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def address_at(url: str, start_ms: int) -> str:
    """A watch address at a certain time; "" for anything that is not http(s), which a page must not link to."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return ""
    if scheme not in ("http", "https"):
        return ""
    return f"{url}{'&' if '?' in url else '?'}t={start_ms // 1000}"


def clock(ms: int) -> str:
    """A time as people write it: 1:02:03.4, or 2:03.4."""
    tenths = ms // 100
    hours, rest = divmod(tenths, 36_000)
    minutes, seconds = divmod(rest, 600)
    text = f"{minutes}:{seconds / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{seconds / 10:04.1f}" if hours else text

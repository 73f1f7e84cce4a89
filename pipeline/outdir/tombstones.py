"""tombstones.txt: the videos and channels that were removed and that no later run may bring back.

    video dQw4w9WgXcQ
    channel UCabcdefghijklmnopqrstuv
    url https://vimeo.com/76979871

A video is named by its id here, by its id at the site it comes from, or by its address.

Written before anything is removed. While a removal is under way its first line says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifests.errors import DamagedFile, UserError
from manifests.origin import origin_of
from manifests.shards import RECORDS, TOMBSTONES
from pipeline.engine.store.store import Store

UNDER_WAY = "# a removal is under way; if none is running, run the same `hdvila-pipeline remove` again"


@dataclass(frozen=True, slots=True)
class Tombstones:
    """What must stay out. `under_way`: a removal has not finished, so shards may still hold some of it."""

    videos: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    under_way: bool = False
    urls: frozenset[str] = frozenset()

    def cover(self, video_id: str, channel_id: str, url: str = "") -> bool:
        """Whether a video must stay out, by its own id, its channel's, or the address it came from."""
        if video_id in self.videos or channel_id in self.channels:
            return True
        if not self.videos and not self.urls:  # checked for every candidate in every plan
            return False
        origin = origin_of(url)
        return bool(origin) and (origin in self.videos or origin in self.urls)

    def joined(self, other: Tombstones) -> Tombstones:
        """The union of both."""
        return Tombstones(
            self.videos | other.videos,
            self.channels | other.channels,
            self.under_way or other.under_way,
            self.urls | other.urls,
        )


def covers(tombstones: Tombstones, row: Mapping[str, Any]) -> bool:
    """Whether the video of a shard's row must stay out."""
    return tombstones.cover(row["video_id"], row["channel_id"], row["url"])


def read_tombstones(store: Store) -> Tombstones:
    """The tombstones of an output directory; none if there is no file. UserError for an invalid line."""
    try:
        lines = store.read(TOMBSTONES).decode("utf-8").splitlines()
    except FileNotFoundError:
        return Tombstones()
    except UnicodeDecodeError:
        raise DamagedFile(f"{store.url}/{TOMBSTONES}: is not UTF-8 text; restore the file") from None
    ids: dict[str, set[str]] = {"video": set(), "channel": set(), "url": set()}
    for line in lines:
        kind, _, name = line.partition(" ")
        if line and not line.startswith("#"):
            if kind not in ids or not name:
                raise UserError(
                    f"{store.url}/{TOMBSTONES}: {line!r} is not `video ID`, `channel ID` or `url ADDRESS`; correct it"
                )
            ids[kind].add(name.strip())
    videos, channels, urls = (frozenset(ids[kind]) for kind in ("video", "channel", "url"))
    return Tombstones(videos, channels, UNDER_WAY in lines, urls)


def write_tombstones(store: Store, tombstones: Tombstones) -> None:
    """Writes tombstones sorted, so that the same ones give the same bytes."""
    lines = [UNDER_WAY] * tombstones.under_way
    lines += [f"channel {name}" for name in sorted(tombstones.channels)]
    lines += [f"url {name}" for name in sorted(tombstones.urls)]
    lines += [f"video {name}" for name in sorted(tombstones.videos)]
    store.write(TOMBSTONES, "".join(f"{line}\n" for line in lines).encode())


def days_of_removal(store: Store, video_id: str) -> list[str]:
    """The days (YYYY-MM-DD, UTC) on which removals took this video out, from the removal records; sorted."""
    records = (store.read_json(f"{RECORDS}/{name}") for name in store.names(RECORDS))
    return sorted({record["date"] for record in records if video_id in record["videos"]})


def refuse_while_under_way(store: Store, tombstones: Tombstones) -> None:
    """Raises UserError if a removal began and did not finish: shards and manifest may disagree."""
    if tombstones.under_way:
        raise UserError(f"{store.url}: a removal was interrupted; run the same `hdvila-pipeline remove` again first")

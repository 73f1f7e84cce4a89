"""Clips and videos that show the same pictures as others, and the openings that a channel puts before every video.

In:  table `packs` (its column `phashes`: a hash a second of each clip)     Out: {reason: {id: the id it repeats}}

A clip is told by its distinct pictures: hashes that lie apart. One that shows a single picture (a slide, a face before
a wall) can't be told from another moment of the same scene and is never called a repeat; videos are compared by the
pictures of all their clips together. Each picture has two hashes, of the whole and of its middle: a copy that was
cropped agrees with one of them. Candidates are pairs that agree in a band of bits somewhere, which costs a sort a
band; each candidate is then compared hash by hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from manifests.clip_status import ClipStatus
from manifests.reasons import Reason
from pipeline.config.media import DuplicatesConfig
from pipeline.media.phash import Hashes, distances, unpack_hashes

COLUMNS = ("clip_id", "video_id", "channel_id", "status", "phashes")
"""Columns of PACKS that are read."""

_BAND_SHIFTS = (0, 10, 21, 32, 42, 53)
"""Where bands begin in the 64 bits, which are a ring: they overlap, so that few differing bits spare one of them."""

_LEAST_SHARED = 3
"""Pictures that two must have in common: two that wear the same logo over dark pictures agree in one or two."""

_CROWD = 64
"""Of more hashes than this in one band only neighbours are paired: a picture that everybody shows tells nothing."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a clip or a video shows: its id, whose it is, and the hashes of its distinct pictures (pictures x 2)."""

    id: str
    video_id: str
    channel_id: str
    hashes: Hashes


def find_duplicates(packs: pa.Table, config: DuplicatesConfig) -> dict[Reason, dict[str, str]]:
    """DUPLICATE_VIDEO and DUPLICATE_CLIP, STOCK_INTRO: {id: an earlier id that shows the same}, in the rows' order.

    `packs` has the columns COLUMNS. A clip of a repeated video is not named again by itself.
    """
    if not config.enabled:
        return {}
    clips = _shown_by_clips(packs, config)
    videos = _shown_by_videos(clips, config)
    repeated_videos = _repeats(videos, config, config.video_share)
    told = [clip for clip in clips if len(clip.hashes) >= config.min_frames]
    pairs = [
        (a, b)
        for a, b in _same(told, config, config.min_share)
        if told[a].video_id not in repeated_videos and told[b].video_id not in repeated_videos
    ]
    intros, clip_repeats = _split_intros(told, pairs, config)
    found = {
        Reason.DUPLICATE_VIDEO: repeated_videos,
        Reason.DUPLICATE_CLIP: clip_repeats,
        Reason.STOCK_INTRO: intros,
    }
    return {reason: repeats for reason, repeats in found.items() if repeats}


def _shown_by_clips(packs: pa.Table, config: DuplicatesConfig) -> list[Shown]:
    rows = packs.select(list(COLUMNS)).to_pylist()
    return [
        Shown(
            row["clip_id"],
            row["video_id"],
            row["channel_id"],
            distinct(unpack_hashes(row["phashes"]), config.max_distance),
        )
        for row in rows
        if row["status"] == ClipStatus.SUCCESS
    ]


def _shown_by_videos(clips: Sequence[Shown], config: DuplicatesConfig) -> list[Shown]:
    """Videos with the distinct pictures of all their clips, those that show enough."""
    of: dict[str, list[Shown]] = defaultdict(list)
    for clip in clips:
        of[clip.video_id].append(clip)
    pooled = [
        Shown(
            video_id,
            video_id,
            shown[0].channel_id,
            distinct(np.concatenate([s.hashes for s in shown]), config.max_distance),
        )
        for video_id, shown in of.items()
    ]
    return [video for video in pooled if len(video.hashes) >= config.min_frames]


def distinct(hashes: Hashes, max_distance: int) -> Hashes:
    """The pictures (N x 2) without those whose first hash lies within `max_distance` of one before them."""
    kept: list[int] = []
    for i in range(len(hashes)):
        if not kept or int(distances(hashes[i : i + 1, 0], hashes[kept, 0]).min()) > max_distance:
            kept.append(i)
    return hashes[kept]


def shared(a: Hashes, b: Hashes, max_distance: int) -> float:
    """Share of the pictures of the one that shows fewer that the other shows too, whole or cropped.

    0 where fewer than three pictures agree: chance, or one logo on dark pictures, can do that.
    """
    fewer, more = (a, b) if len(a) <= len(b) else (b, a)
    found = max(
        int((distances(fewer[:, i], more[:, j]) <= max_distance).any(axis=1).sum()) for i in (0, 1) for j in (0, 1)
    )
    return found / len(fewer) if found >= _LEAST_SHARED else 0.0


def _repeats(shown: Sequence[Shown], config: DuplicatesConfig, share: float) -> dict[str, str]:
    """{id: the first id, in order, that shows the same}."""
    repeats: dict[str, str] = {}
    for a, b in sorted(_same(shown, config, share)):
        repeats.setdefault(shown[b].id, shown[a].id)
    return repeats


def _same(shown: Sequence[Shown], config: DuplicatesConfig, share: float) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of places whose pictures agree."""
    return [
        (a, b)
        for a, b in sorted(_candidates(shown))
        if shared(shown[a].hashes, shown[b].hashes, config.max_distance) >= share
    ]


def _candidates(shown: Sequence[Shown]) -> set[tuple[int, int]]:
    """Pairs of places with hashes that agree in one band at least."""
    if not shown:
        return set()
    hashes = np.concatenate([one.hashes.reshape(-1) for one in shown])
    owners = np.repeat(np.arange(len(shown)), [one.hashes.size for one in shown])
    bits = min(32, max(16, len(hashes).bit_length() + 2))
    pairs: set[tuple[int, int]] = set()
    for shift in _BAND_SHIFTS:
        turned = (hashes >> np.uint64(shift)) | (hashes << np.uint64((64 - shift) % 64))
        keys = turned & np.uint64((1 << bits) - 1)
        order = np.lexsort((owners, keys))
        edges = np.flatnonzero(np.diff(keys[order])) + 1
        for group in np.split(owners[order], edges):
            pairs.update(_pairs_in(group.tolist()))
    return pairs


def _pairs_in(owners: list[int]) -> Iterable[tuple[int, int]]:
    """Pairs of different owners (ascending) that share a key; only neighbours in a crowd."""
    unique = sorted(set(owners))
    reach = len(unique) if len(unique) <= _CROWD else 2
    return ((a, b) for i, a in enumerate(unique) for b in unique[i + 1 : i + reach])


def _split_intros(
    clips: Sequence[Shown], pairs: Sequence[tuple[int, int]], config: DuplicatesConfig
) -> tuple[dict[str, str], dict[str, str]]:
    """(stock intros, other repeats): an intro is a group of equal clips in enough videos of one channel."""
    first = _first_of_group(len(clips), pairs)
    members: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for place, leader in enumerate(first):
        members[leader].add((clips[place].channel_id, clips[place].video_id))
    intros: dict[str, str] = {}
    others: dict[str, str] = {}
    for place, leader in enumerate(first):
        if place == leader:
            continue
        channel = clips[place].channel_id
        n_videos = sum(1 for c, _ in members[leader] if c == channel) if channel else 0
        target = intros if n_videos >= config.intro_videos else others
        target[clips[place].id] = clips[leader].id
    return intros, others


def _first_of_group(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each place the first place of its group of pairwise linked ones."""
    first = list(range(count))

    def root(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = first[place]
        return place

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        first[high] = low
    return [root(place) for place in range(count)]

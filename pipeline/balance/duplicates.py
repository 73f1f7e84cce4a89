"""Clips and videos that show the same pictures as others, and the openings that a channel puts before every video.

In:  table `packs` (its column `phashes`: hashes of each clip's pictures)   Out: {reason: {id: the id it repeats}}

A clip is known by its distinct pictures: hashes that lie apart. One that shows a single picture (a slide, a face before
a wall) can't be told from another moment of the same scene and is never called a repeat; videos are compared by the
pictures of all their clips together. Each picture has a hash of the whole and of several parts: a copy that was altered
agrees with one of them, and a mirrored picture's hashes follow from the picture's own. Candidates are pairs with
two near hashes that agree in a band of bits, which costs a sort a band; each is then compared hash by hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from manifests.reasons import Reason
from pipeline.balance.groups import groups_of
from pipeline.balance.near import Near
from pipeline.balance.shown import APART, Shows, shown_by_clips, shown_by_videos
from pipeline.config.media import DuplicatesConfig
from pipeline.media.phash import ALIGNED, Hashes, are_near, mirrored_pictures

COLUMNS = ("clip_id", "video_id", "channel_id", "status", "phashes")
"""Columns of PACKS that are read."""

_LEAST_SHARED = 3
"""Pictures that two must have in common: two that wear the same logo over dark pictures agree in one or two."""


class Pictures:
    """What all clips and videos show that were added; what repeats does not depend on the order in which they were."""

    def __init__(self, config: DuplicatesConfig) -> None:
        self._config = config
        self._clips, self._videos = (
            Near(config.max_distance, partial(_is_same, max_distance=config.max_distance, share=share))
            for share in (config.min_share, config.video_share)
        )

    def add(self, packs: pa.Table) -> None:
        """Rows with the columns COLUMNS and n; a video's rows stand one after the other."""
        clips = shown_by_clips(packs, self._config.max_distance)
        for near, shows in ((self._clips, clips), (self._videos, shown_by_videos(clips, self._config.max_distance))):
            near.add(shows.take(np.flatnonzero(shows.counts() >= self._config.min_frames)))

    def find(self, but: pa.Array) -> dict[Reason, dict[str, str]]:
        """What repeats among all but these videos, as `find_duplicates`."""
        videos, same_videos = self._videos.same(but)
        repeated_videos: dict[str, str] = {}
        for a, b in same_videos:
            repeated_videos.setdefault(videos.id_of(b), videos.id_of(a))
        clips, same_clips = self._clips.same(but)
        of_video = clips.table.column("video_id").to_pylist()
        pairs = [(a, b) for a, b in same_clips if repeated_videos.keys().isdisjoint((of_video[a], of_video[b]))]
        intros, clip_repeats = _split_intros(clips, pairs, self._config)
        found = {
            Reason.DUPLICATE_VIDEO: repeated_videos,
            Reason.DUPLICATE_CLIP: clip_repeats,
            Reason.STOCK_INTRO: intros,
        }
        return {reason: repeats for reason, repeats in found.items() if repeats}


def find_duplicates(packs: pa.Table, config: DuplicatesConfig) -> dict[Reason, dict[str, str]]:
    """DUPLICATE_VIDEO and DUPLICATE_CLIP, STOCK_INTRO: {id: an earlier id that shows the same}, in the ids' order.

    `packs` has the columns COLUMNS. A clip of a repeated video is not named again by itself.
    """
    if not config.enabled:
        return {}
    pictures = Pictures(config)
    pictures.add(packs.sort_by("video_id"))
    return pictures.find(pa.array([], pa.string()))


def shared(a: Hashes, b: Hashes, max_distance: int) -> float:
    """Share of the pictures of the one that shows fewer that the other shows too, in one part, as it is or mirrored.

    Pictures that are alike in that part count once: a logo or a bar makes some parts of many pictures alike. 0 where
    fewer than three agree, which chance can do.
    """
    fewer, more = (a, b) if len(a) <= len(b) else (b, a)
    found = max(
        _n_agreeing(fewer[:, i], other[:, j], max_distance)
        for other in (more, mirrored_pictures(more))
        for i, j in ALIGNED
    )
    return found / len(fewer) if found >= _LEAST_SHARED else 0.0


def _n_agreeing(one: Hashes, other: Hashes, max_distance: int) -> int:
    """How many pictures of each agree with one of the other in a part; 0 where fewer than _LEAST_SHARED do."""
    near = are_near(one, other, max_distance)
    if int(near.any(axis=1).sum()) < _LEAST_SHARED:
        return 0
    apart = max(APART, max_distance)
    return min(_n_apart(one[near.any(axis=1)], apart), _n_apart(other[near.any(axis=0)], apart))


def _n_apart(hashes: Hashes, max_distance: int) -> int:
    """How many of them lie further than this from each one before that counts."""
    kept: list[int] = []
    for value in hashes.tolist():
        if all((value ^ other).bit_count() > max_distance for other in kept):
            kept.append(value)
    return len(kept)


def _is_same(a: Hashes, b: Hashes, *, max_distance: int, share: float) -> bool:
    return shared(a, b, max_distance) >= share


def _split_intros(
    clips: Shows, pairs: Sequence[tuple[int, int]], config: DuplicatesConfig
) -> tuple[dict[str, str], dict[str, str]]:
    """(stock intros, other repeats): an intro is a group of equal clips in enough videos of one channel."""
    found: list[tuple[int, int, bool]] = []  # clip, the first of its group, whether it is an intro
    for first, *repeats in groups_of(pairs):
        videos = {(clips[i].channel_id, clips[i].video_id) for i in (first, *repeats)}
        n_videos = Counter(channel_id for channel_id, _ in videos if channel_id)
        found += [(i, first, n_videos[clips[i].channel_id] >= config.intro_videos) for i in repeats]
    intros: dict[str, str] = {}
    others: dict[str, str] = {}
    for i, first, is_intro in sorted(found):
        (intros if is_intro else others)[clips[i].id] = clips[first].id
    return intros, others

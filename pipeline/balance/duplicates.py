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

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.reasons import Reason
from pipeline.balance.groups import groups_of
from pipeline.balance.shown import Shows, in_order, joined, shown_by_clips, shown_by_videos
from pipeline.config.media import DuplicatesConfig
from pipeline.media.phash import (
    ALIGNED,
    CENTRE,
    N_HASHES,
    NOTHING,
    WHOLE,
    Hashes,
    are_near,
    mirrored,
    mirrored_pictures,
)

COLUMNS = ("clip_id", "video_id", "channel_id", "status", "phashes")
"""Columns of PACKS that are read."""

_BAND_SHIFTS = (0, 10, 21, 32, 42, 53)
"""Where bands begin in the 64 bits, which are a ring: they overlap, so that few differing bits spare one of them."""

_LEAST_SHARED = 3
"""Pictures that two must have in common: two that wear the same logo over dark pictures agree in one or two."""

_CROWD = 64
"""Of more hashes than this in one band only neighbours are paired: a picture that everybody shows tells nothing."""


_HALF = 32
_LOW = (1 << _HALF) - 1


class Pictures:
    """What all clips and videos show that were added; what repeats does not depend on the order in which they were."""

    def __init__(self, config: DuplicatesConfig) -> None:
        self._config = config
        self._clips: list[Shows] = []
        self._videos: list[Shows] = []

    def add(self, packs: pa.Table) -> None:
        """Rows with the columns COLUMNS and n; a video's rows stand one after the other."""
        clips = shown_by_clips(packs, self._config.max_distance)
        self._clips.append(clips)
        self._videos.append(shown_by_videos(clips, self._config.max_distance))

    def find(self, but: pa.Array) -> dict[Reason, dict[str, str]]:
        """What repeats among all but these videos, as `find_duplicates`."""
        self._clips, self._videos = ([in_order(joined(some))] for some in (self._clips, self._videos))
        return _found(self._clips[0].without(but), self._videos[0].without(but), self._config)


def find_duplicates(packs: pa.Table, config: DuplicatesConfig) -> dict[Reason, dict[str, str]]:
    """DUPLICATE_VIDEO and DUPLICATE_CLIP, STOCK_INTRO: {id: an earlier id that shows the same}, in the ids' order.

    `packs` has the columns COLUMNS. A clip of a repeated video is not named again by itself.
    """
    if not config.enabled:
        return {}
    pictures = Pictures(config)
    pictures.add(packs.sort_by("video_id"))
    return pictures.find(pa.array([], pa.string()))


def _found(clips: Shows, videos: Shows, config: DuplicatesConfig) -> dict[Reason, dict[str, str]]:
    videos = videos.take(np.flatnonzero(videos.counts() >= config.min_frames))
    repeated_videos = _repeats(videos, config, config.video_share)
    comparable = clips.take(np.flatnonzero(clips.counts() >= config.min_frames))
    pairs = [
        (a, b)
        for a, b in _same(comparable, config, config.min_share)
        if comparable[a].video_id not in repeated_videos and comparable[b].video_id not in repeated_videos
    ]
    intros, clip_repeats = _split_intros(comparable, pairs, config)
    found = {
        Reason.DUPLICATE_VIDEO: repeated_videos,
        Reason.DUPLICATE_CLIP: clip_repeats,
        Reason.STOCK_INTRO: intros,
    }
    return {reason: repeats for reason, repeats in found.items() if repeats}


def shared(a: Hashes, b: Hashes, max_distance: int) -> float:
    """Share of the pictures of the one that shows fewer that the other shows too, in one part, as it is or mirrored.

    0 where fewer than three pictures agree: chance, or one logo on dark pictures, can do that.
    """
    fewer, more = (a, b) if len(a) <= len(b) else (b, a)
    found = max(
        int(are_near(fewer[:, i], other[:, j], max_distance).any(axis=1).sum())
        for other in (more, mirrored_pictures(more))
        for i, j in ALIGNED
    )
    return found / len(fewer) if found >= _LEAST_SHARED else 0.0


def _repeats(shown: Shows, config: DuplicatesConfig, share: float) -> dict[str, str]:
    """{id: the first id, in order, that shows the same}."""
    repeats: dict[str, str] = {}
    for a, b in sorted(_same(shown, config, share)):
        repeats.setdefault(shown.id_of(b), shown.id_of(a))
    return repeats


def _same(shown: Shows, config: DuplicatesConfig, share: float) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of indices whose pictures agree."""
    return [
        (a, b)
        for a, b in sorted(_candidates(shown, config.max_distance))
        if shared(shown.hashes_of(a), shown.hashes_of(b), config.max_distance) >= share
    ]


def _candidates(shown: Shows, max_distance: int) -> set[tuple[int, int]]:
    """Pairs of indices that have two hashes near each other, as they are or mirrored, which agree in one band."""
    if not len(shown):
        return set()
    turned = mirrored(shown.hashes[:, (WHOLE, CENTRE)])
    hashes = np.concatenate([shown.hashes.reshape(-1), turned.reshape(-1)])
    owners = np.repeat(np.arange(len(shown), dtype=np.int64), shown.counts())
    owners = np.concatenate([np.repeat(owners, N_HASHES), np.repeat(owners, 2)])
    is_turned = np.arange(len(hashes)) >= shown.hashes.size
    shows = hashes != NOTHING
    hashes, owners, is_turned = hashes[shows], owners[shows], is_turned[shows]
    codes = np.zeros(0, np.int64)
    for shift in _BAND_SHIFTS:
        codes = np.union1d(codes, _near_in_band(hashes, owners, is_turned, shift, max_distance))
    return {(int(code >> _HALF), int(code & _LOW)) for code in codes}


def _near_in_band(
    hashes: Hashes, owners: NDArray[np.int64], is_turned: NDArray[np.bool_], shift: int, max_distance: int
) -> NDArray[np.int64]:
    """Codes (earlier index << 32 | later) of the owners of near hashes that agree in the band at `shift`, each once.

    One sort a band, and then arrays alone: hashes are compared with the next one of the same key, the second next …
    up to _CROWD; where more than that agree, with the two that follow.
    """
    bits = min(32, max(16, len(hashes).bit_length() - 1))
    keys = ((hashes >> np.uint64(shift)) | (hashes << np.uint64((64 - shift) % 64))) & np.uint64((1 << bits) - 1)
    order = np.lexsort((owners, keys))
    keys, hashes, owners, is_turned = keys[order], hashes[order], owners[order], is_turned[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sizes = np.diff(np.concatenate([starts, [len(keys)]]))
    left = np.repeat(starts + sizes, sizes) - np.arange(len(keys)) - 1  # hashes of the same key that follow
    reach = np.where(np.repeat(sizes, sizes) <= _CROWD, left, np.minimum(left, 2))
    codes = [np.zeros(0, np.int64)]
    for step in range(1, int(reach.max(initial=0)) + 1):
        here = np.flatnonzero(reach >= step)
        there = here + step
        near = np.bitwise_count(hashes[here] ^ hashes[there]) <= max_distance
        near &= (owners[here] != owners[there]) & ~(is_turned[here] & is_turned[there])
        low, high = owners[here[near]], owners[there[near]]
        codes.append(np.unique(np.minimum(low, high) << _HALF | np.maximum(low, high)))
    return np.unique(np.concatenate(codes))


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

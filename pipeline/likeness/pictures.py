"""Finds clips and videos that show the same pictures as others, and intros that a channel uses in every video; and
those that repeat by text: re-uploads (`texts.py`), and sentences that a channel says again (`sentences.py`).

In:  table `packs` (its column `phashes`: hashes of each clip's pictures)   Out: {reason: {id: the id it repeats}}

A clip is known by its distinct pictures: hashes that lie apart, and finer ones where these are few. One that shows a
single picture (a slide, a face before a wall) can't be told from another moment of the same scene and is never called
a repeat; videos are compared by the pictures of all their clips together. Each picture has a hash of the whole and of
several regions: a copy that was altered agrees with one of them, and a mirrored picture's hashes follow from the
picture's own. Candidates are pairs of clips with two near hashes that agree in a band of bits (`bands.py`), and the
videos that these are of; each is then compared hash by hash, once (`same.py`). In the index (`index.py`) a picture
is filed by all its hashes. It looks for others by these, and by those of the mirrored picture, each among the regions
that may show the same; videos are found by their clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.reasons import Reason
from pipeline.config.balance import TextDuplicatesConfig
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.likeness.bands import Int64, starts_of_runs
from pipeline.likeness.files import Filed
from pipeline.likeness.groups import groups_of
from pipeline.likeness.index import AlikeIndex, Kind, Wanted
from pipeline.likeness.same import LIKENESS, Likeness, are_same
from pipeline.likeness.sentences import Sentences
from pipeline.likeness.shown import (
    APART,
    ORDER,
    Shows,
    joined_shows,
    named_only,
    no_shows,
    shown_by_clips,
    shown_by_videos,
)
from pipeline.likeness.tasks import Spread, spread_here
from pipeline.likeness.texts import Reuploads
from pipeline.likeness.together import Nearness
from pipeline.media.phash import ALIGNED, MIDDLE, N_HASHES, NOTHING, WHOLE, Hashes, mirrored_pictures

COLUMNS = ("clip_id", "video_id", "channel_id", "status", "phashes")
"""Columns of PACKS that are read."""

CLIPS, VIDEOS = "clips", "videos"
FORMAT = 3
"""Rises when what is kept of pictures changes."""

AT_A_TIME = 1 << 19
"""Pictures that are added together, from some 5,000 videos: sorting and looking up takes 2 KB for each."""
MOST_WAITING = 1 << 23
"""Pictures that may wait, 400 MB. If more come at once, as when everything is compared again, they are added in the
order of the tables."""


NAMES = pa.schema([("id", pa.string()), ("video_id", pa.string()), ("channel_id", pa.string()), ("n", pa.int64())])


class Pictures:
    """The pictures of all clips and videos of a store; repeats do not depend on when their packs were committed.

    A video is compared once, with all that were added before it: in the order of `order_of` of its id, then of its
    id. `index.py` describes where that is kept.
    """

    def __init__(
        self,
        store: Store,
        spread: Spread = spread_here,
        order_of: Callable[[pa.Array], Int64] = lambda video_ids: np.zeros(len(video_ids), np.int64),
        rule: Likeness = LIKENESS,
    ) -> None:
        self._rule, self._store, self._order_of = rule, store, order_of
        kinds = [
            kind_of(name, rule.max_distance, partial(are_same, rule=rule, share=share), parts)
            for name, share, parts in ((CLIPS, rule.min_share, ""), (VIDEOS, rule.video_share, CLIPS))
        ]
        self._index = AlikeIndex(store, "pictures", kinds, f"{FORMAT} {rule}", spread)
        self._start()

    def _start(self) -> None:
        columns = [*COLUMNS, "n"]
        self._follower = Follower(self._store, "packs", columns, lambda ids: ~self._index.are_added(ids))
        self._waiting: list[Shows] = []
        self._waiting_ids: list[pa.Array] = []

    def find_repeats(self, but: pa.Array) -> dict[Reason, dict[str, str]]:
        """Finds DUPLICATE_VIDEO, DUPLICATE_CLIP, STOCK_INTRO: {id: an earlier id that shows the same}, in ORDER.

        Videos in `but` are left out. A clip of a repeated video is not listed again itself.
        """
        self._index.go_on(self._start, partial(self._follow, but))
        return self._found(but)

    def _follow(self, but: pa.Array) -> None:
        for rows in self._follower.new():
            self.add(rows)
            if sum(len(shows.hashes) for shows in self._waiting) >= MOST_WAITING:
                self._compare_waiting(but)
        self._compare_waiting(but)

    def add(self, packs: pa.Table) -> None:
        """Adds rows with the columns COLUMNS and n; the rows of a video are together."""
        packs = packs.filter(pa.array(~self._index.are_added(packs.column("video_id"))))
        self._waiting_ids.append(pc.unique(packs.column("video_id")))
        self._waiting.append(shown_by_clips(packs, self._rule.max_distance))

    def _compare_waiting(self, but: pa.Array) -> None:
        """Compares the waiting pictures, except those of videos in `but`."""
        ids = pa.concat_arrays([pa.array([], pa.string()), *self._waiting_ids])
        is_away = pc.is_in(ids, value_set=but)
        ready = ids.filter(pc.invert(is_away))
        if not len(ready):
            return
        shows = joined_shows(self._waiting)
        waits = pc.is_in(shows.table.column("video_id"), value_set=but).to_numpy().astype(np.bool_)
        clips = _in_order(shows.take(np.flatnonzero(~waits)), self._order_of)
        show_nothing = ready.filter(pc.invert(pc.is_in(ready, value_set=clips.table.column("video_id"))))
        for some in _of_a_size(clips):
            videos = shown_by_videos(some, self._rule.max_distance)
            videos = videos.take(np.flatnonzero(videos.counts() >= self._rule.min_frames))
            comparable = videos.table.column("video_id").to_pylist()
            things = {CLIPS: things_of(some, comparable), VIDEOS: things_of(videos)}
            of_some = pc.unique(some.table.column("video_id"))
            self._index.add(things, pa.concat_arrays([of_some, show_nothing]))
            show_nothing = of_some.slice(0, 0)
        self._waiting, self._waiting_ids = [shows.take(np.flatnonzero(waits))], [ids.filter(is_away)]

    def _found(self, but: pa.Array) -> dict[Reason, dict[str, str]]:
        videos, same_videos = _in_pairs(self._index.pairs(VIDEOS), but)
        repeated_videos: dict[str, str] = {}
        for a, b in same_videos:
            repeated_videos.setdefault(videos.id_of(b), videos.id_of(a))
        clips, same_clips = _in_pairs(self._index.pairs(CLIPS), but)
        of_video = clips.table.column("video_id").to_pylist()
        pairs = [(a, b) for a, b in same_clips if repeated_videos.keys().isdisjoint((of_video[a], of_video[b]))]
        intros, clip_repeats = _split_intros(clips, pairs, self._rule)
        found = {
            Reason.DUPLICATE_VIDEO: repeated_videos,
            Reason.DUPLICATE_CLIP: clip_repeats,
            Reason.STOCK_INTRO: intros,
        }
        return {reason: repeats for reason, repeats in found.items() if repeats}


def _in_order(clips: Shows, order_of: Callable[[pa.Array], Int64]) -> Shows:
    table = clips.table
    ids = table.column("video_id").combine_chunks().dictionary_encode()
    order = order_of(ids.dictionary)[ids.indices.to_numpy()] if len(table) else np.zeros(0, np.int64)
    table = table.select(["video_id", "n", "id"]).append_column("order", pa.array(order))
    rows = pc.sort_indices(table, [("order", "ascending"), *ORDER])
    return clips.take(rows.to_numpy().astype(np.int64))


def _of_a_size(clips: Shows) -> Iterator[Shows]:
    """Yields parts of about AT_A_TIME pictures, at least one part; a video's clips, which are together, stay so."""
    ids = clips.table.column("video_id").combine_chunks()
    is_first = np.append(True, pc.not_equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1))).to_numpy(False))
    number = clips.starts[:-1] // AT_A_TIME
    of_video = number[np.maximum.accumulate(np.where(is_first[: len(ids)], np.arange(len(ids)), 0))]
    edges = np.flatnonzero(np.diff(of_video)) + 1
    for rows in np.split(np.arange(len(ids)), edges):
        yield clips.take(rows)


def _in_pairs(pairs: pa.Table, but: pa.Array) -> tuple[Shows, list[tuple[int, int]]]:
    """Returns the pairs (earlier, later) without those of videos in `but`, and the things that they are of.

    Pairs are rows of the things returned: all that are in a pair, by video and number, without their pictures.
    """
    away = [pc.is_in(pairs.column(f"{side}.video_id"), value_set=but) for side in "ab"]
    pairs = pairs.filter(pc.invert(pc.or_(*away)))
    sides = [pairs.select([f"{side}.{name}" for name in NAMES.names]).rename_columns(NAMES.names) for side in "ab"]
    named = pa.concat_tables([no_shows().table, *sides])
    table = named.group_by(NAMES.names).aggregate([]).sort_by(ORDER).select(NAMES.names)
    rows = np.stack([pc.index_in(side.column("id"), table.column("id").combine_chunks()).to_numpy() for side in sides])
    rows = np.sort(rows, axis=0).astype(np.int64)
    return named_only(table), sorted(zip(rows[0].tolist(), rows[1].tolist(), strict=True))


def _split_intros(
    clips: Shows, pairs: Sequence[tuple[int, int]], rule: Likeness
) -> tuple[dict[str, str], dict[str, str]]:
    """(stock intros, other repeats): an intro is a group of equal clips in enough videos of one channel."""
    found: list[tuple[int, int, bool]] = []  # clip, the first of its group, whether it is an intro
    for first, *repeats in groups_of(pairs):
        videos = {(clips[i].channel_id, clips[i].video_id) for i in (first, *repeats)}
        n_videos = Counter(channel_id for channel_id, _ in videos if channel_id)
        found += [(i, first, n_videos[clips[i].channel_id] >= rule.intro_videos) for i in repeats]
    intros: dict[str, str] = {}
    others: dict[str, str] = {}
    for i, first, is_intro in sorted(found):
        (intros if is_intro else others)[clips[i].id] = clips[first].id
    return intros, others


def kind_of(name: str, max_distance: int, is_same: Callable[[Hashes, Hashes], bool], parts: str = "") -> Kind:
    """The kind for things that show pictures. `is_same`: whether two that have near hashes show the same; `parts`: as
    in Kind.
    """

    def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        return is_same(_hashes(a["shown"]), _hashes(b["shown"]))

    return Kind(name, Nearness(max_distance, max(APART, max_distance)), filed, asked, same, NAMES, parts=parts)


def things_of(shows: Shows, wholes: Sequence[str] | None = None) -> pa.Table:
    """Makes the table that is kept of things: the columns of NAMES, and `shown`, the hashes of their pictures.

    `wholes`: ids of the videos that are added with these clips; column `whole` says which of them a clip is from.
    """
    size = 8 * N_HASHES
    data = pa.py_buffer(np.ascontiguousarray(shows.hashes, "<u8").tobytes())
    ends = pa.py_buffer((shows.starts * size).astype(np.int32).tobytes())
    shown = pa.Array.from_buffers(pa.binary(), len(shows), [None, ends, data])
    table = shows.table.select(NAMES.names).append_column("shown", shown)
    if wholes is None:
        return table
    of_whole = pc.index_in(table.column("video_id"), value_set=pa.array(wholes, pa.string()))
    return table.append_column("whole", pc.fill_null(of_whole, -1))


def filed(things: pa.Table) -> Filed:
    """The hashes by which others find them: a row a picture, a column a region."""
    counts, hashes = _pictures(things)
    starts = starts_of_runs(things.column("video_id").combine_chunks().dictionary_encode().indices.to_numpy())
    return Filed(counts, hashes.T, np.diff(np.append(starts, len(counts))))


def asked(things: pa.Table) -> Wanted:
    """The hashes by which they look for others in each region; mirrored ones where it is the whole picture or its
    middle, which mirroring leaves in place.
    """
    counts, hashes = _pictures(things)
    owners, turned = np.repeat(np.arange(len(counts)), counts), mirrored_pictures(hashes)
    found = []
    for column in range(N_HASHES):
        regions = [ours for ours, theirs in ALIGNED if theirs == column]
        of_column = [hashes[:, region] for region in regions]
        if column in (WHOLE, MIDDLE):
            of_column += [turned[:, region] for region in regions if region in (WHOLE, MIDDLE)]
        found.append([_that_show(owners, of_region) for of_region in of_column])
    return found


def _that_show(owners: Int64, hashes: Hashes) -> tuple[Int64, Hashes]:
    shows = hashes != NOTHING
    return owners[shows], hashes[shows]


def _pictures(things: pa.Table) -> tuple[Int64, Hashes]:
    """How many pictures each thing has, and those of all."""
    values = things.column("shown").to_pylist()
    counts = np.array([len(value) // (8 * N_HASHES) for value in values], np.int64)
    return counts, _hashes(b"".join(values))


def _hashes(shown: bytes) -> Hashes:
    return np.frombuffer(shown, "<u8").astype(np.uint64).reshape(-1, N_HASHES)


class Texts:
    """All texts of a store; more may be committed at any time. Repeats do not depend on when they came."""

    def __init__(self, config: TextDuplicatesConfig, store: Store, spread: Spread = spread_here) -> None:
        self._reuploads = Reuploads(store, spread) if config.reuploads else None
        self._sentences = Sentences(store, spread) if config.repeated_sentences else None

    def find_repeats(self, videos: pa.Table, every: pa.Table | None = None) -> dict[str, str]:
        """Finds repeats among `videos` (video_id, channel_id, duration_s): {id: the id that it repeats}.

        Ids are of videos or clips. `every`: all known videos, including these.
        """
        parts = [part.find_repeats(videos, every) for part in (self._reuploads, self._sentences) if part]
        return {one: other for part in parts for one, other in part.items()}

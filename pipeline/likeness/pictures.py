"""Clips and videos that show the same pictures as others, and intros that a channel uses in every video.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.columns import whole
from manifests.reasons import Reason
from manifests.rows import MatchRow
from manifests.sample import clip_id
from pipeline.likeness.bands import Int64, starts_of_runs
from pipeline.likeness.groups import groups_of
from pipeline.likeness.index import Filed, Item, Kind, Wanted, packed, unpacked
from pipeline.likeness.matches import SIDES, match_of
from pipeline.likeness.same import LIKENESS, Likeness, are_distinct, are_same
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
from pipeline.likeness.together import Nearness
from pipeline.media.phash import ALIGNED, MIDDLE, N_HASHES, NOTHING, WHOLE, Hashes, mirrored_pictures

COLUMNS = ("clip_id", "video_id", "channel_id", "n", "status", "phashes")
"""Columns of `packs` that are read."""
CLIPS, VIDEOS = "clips", "videos"
TOGETHER = 256
"""Videos whose distinct pictures are looked for together: one by one takes 50 ms each. Each takes as much memory as the
longest of them.
"""
AT_A_TIME = 5_000
"""Videos that are compared together, some 500,000 pictures: sorting and looking up takes 2 KB for each."""

ITEMS = pa.schema(
    [(name, kind) for name, kind in (("video_id", pa.string()), ("channel_id", pa.string()))]
    + [(name, pa.large_binary()) for name in ("n", "counts", "shown")]
)
"""By video: the number of each clip (u4), how many pictures each shows (u4), and their hashes (u8)."""


def kind_of(rule: Likeness = LIKENESS) -> Kind:
    """Clips that show pictures; the videos that they are of are compared with them."""
    return Kind(
        "pictures",
        "packs",
        COLUMNS,
        (),
        N_HASHES,
        Nearness(rule.max_distance, max(APART, rule.max_distance)),
        partial(items_of, rule),
        filed,
        asked,
        partial(matches_of, rule),
        AT_A_TIME,
    )


def items_of(rule: Likeness, packs: pa.Table) -> pa.Table:
    """The pictures of the successful clips in rows of `packs`; the rows of a video are together."""
    clips = shown_by_clips(packs, rule.max_distance)
    first = starts_of(clips.table.column("video_id"))
    n_clips = np.diff(np.append(first, len(clips)))
    counts, ends = clips.counts(), np.append(clips.starts[:-1][first], clips.starts[-1])
    videos = clips.table.take(pa.array(first)).select(["video_id", "channel_id"])
    numbers = clips.table.column("n").to_numpy().astype("<u4")
    columns = [packed(numbers, n_clips), packed(counts.astype("<u4"), n_clips)]
    columns.append(packed(clips.hashes.astype("<u8").reshape(-1), N_HASHES * np.diff(ends)))
    return pa.table([*videos.columns, *columns], schema=ITEMS)


def starts_of(ids: pa.ChunkedArray) -> Int64:
    """The rows at which another id begins."""
    return starts_of_runs(ids.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64))


def filed(items: pa.Table) -> Filed:
    """The hashes by which others find them: a row a picture, a column a region."""
    counts, n_clips = unpacked(items.column("counts"), "<u4")
    return Filed(counts.astype(np.int64), _pictures(items).T, n_clips)


def asked(items: pa.Table) -> Wanted:
    """The hashes by which they look for others in each region; mirrored ones where it is the whole picture or its
    middle, which mirroring leaves in place.
    """
    hashes, counts = _pictures(items), unpacked(items.column("counts"), "<u4")[0]
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


def _pictures(items: pa.Table) -> Hashes:
    hashes: Hashes = unpacked(items.column("shown"), "<u8")[0].astype(np.uint64, copy=False).reshape(-1, N_HASHES)
    return hashes


def matches_of(rule: Likeness, pairs: Sequence[tuple[Item, Item]]) -> list[MatchRow]:
    """The pairs that are alike, and those of the videos that they are of: each compared once."""
    known: dict[str, Shows] = {}
    clips = [_match(CLIPS, a, b) for a, b in pairs if are_same(_clip(known, a), _clip(known, b), rule, rule.min_share)]
    of_two = {(a["video_id"], b["video_id"]): ((a, -1), (b, -1)) for (a, _), (b, _) in pairs}
    of_two = {names: pair for names, pair in sorted(of_two.items()) if names[0] != names[1]}
    whole = dict(_whole(rule, [known[name] for name in sorted({name for names in of_two for name in names})]))
    same = []
    for (a, b), pair in of_two.items():
        (ours, our_distinct), (theirs, their_distinct) = whole[a], whole[b]
        enough = min(len(ours), len(theirs)) >= rule.min_frames
        if enough and are_same(ours, theirs, rule, rule.video_share, (our_distinct, their_distinct)):
            same.append(_match(VIDEOS, *pair))
    return [*clips, *same]


def _clip(known: dict[str, Shows], item: Item) -> Hashes:
    row, number = item
    if row["video_id"] not in known:
        known[row["video_id"]] = _clips_of(row)
    return known[row["video_id"]].hashes_of(number)


def _clips_of(row: Mapping[str, Any]) -> Shows:
    numbers, counts = (np.frombuffer(row[name], "<u4").astype(np.int64) for name in ("n", "counts"))
    hashes = np.frombuffer(row["shown"], "<u8").astype(np.uint64).reshape(-1, N_HASHES)
    ids = [
        [clip_id(row["video_id"], n) for n in numbers],
        *([row[c]] * len(numbers) for c in ("video_id", "channel_id")),
    ]
    table = pa.table([*ids, numbers], schema=no_shows().table.schema)
    return Shows(table, np.append(0, np.cumsum(counts)), hashes)


def _whole(rule: Likeness, of_videos: Sequence[Shows]) -> Iterator[tuple[str, tuple[Hashes, Hashes]]]:
    """Yields (video id, (its pictures, those that are distinct)), given the clips of each video."""
    for begin in range(0, len(of_videos), TOGETHER):
        videos = shown_by_videos(joined_shows(of_videos[begin : begin + TOGETHER]), rule.max_distance)
        distinct = are_distinct(videos.hashes, videos.counts(), rule)
        for i, (first, end) in enumerate(pairwise(videos.starts.tolist())):
            hashes = videos.hashes[first:end]
            yield videos.id_of(i), (hashes, hashes[distinct[first:end]])


def _match(what: str, earlier: Item, later: Item) -> MatchRow:
    (a, i), (b, k) = earlier, later
    return match_of(what, a, b, _number(a, i), _number(b, k))


def _number(row: Mapping[str, Any], clip: int) -> int:
    return int(np.frombuffer(row["n"], "<u4")[clip]) if clip >= 0 else -1


def find_repeats(
    clips: pa.Table, videos: pa.Table, but: pa.Array, rule: Likeness = LIKENESS
) -> dict[Reason, dict[str, str]]:
    """Finds DUPLICATE_VIDEO, DUPLICATE_CLIP, STOCK_INTRO among matches of CLIPS and of VIDEOS: {id: an earlier id that
    shows the same}, in ORDER.

    Videos in `but` are left out. A clip of a repeated video is not listed again itself.
    """
    of_videos, same_videos = _in_pairs(videos, but)
    repeated_videos: dict[str, str] = {}
    for a, b in same_videos:
        repeated_videos.setdefault(of_videos.id_of(b), of_videos.id_of(a))
    away = pa.concat_arrays([but, pa.array(repeated_videos, pa.string())])
    intros, clip_repeats = _split_intros(*_in_pairs(clips, away), rule)
    found = {
        Reason.DUPLICATE_VIDEO: repeated_videos,
        Reason.DUPLICATE_CLIP: clip_repeats,
        Reason.STOCK_INTRO: intros,
    }
    return {reason: repeats for reason, repeats in found.items() if repeats}


def _in_pairs(matches: pa.Table, but: pa.Array) -> tuple[Shows, Iterable[tuple[int, int]]]:
    """Returns the pairs without those of videos in `but`, and the clips or videos that they are of.

    Pairs are rows of what is returned: all that are in a pair, by video and number, without their pictures.
    """
    away = [pc.is_in(matches.column(f"{side}video_id"), value_set=but) for side in SIDES]
    matches = matches.filter(pc.invert(pc.or_(*away)))
    sides = [
        pa.table({name: matches.column(f"{side}{name}") for name in ("video_id", "channel_id", "n")}) for side in SIDES
    ]
    both = pa.concat_tables(sides).combine_chunks()
    videos = whole(both.column("video_id")).dictionary_encode().indices.to_numpy().astype(np.int64)
    _, first, code = np.unique(videos << 32 | both.column("n").to_numpy() + 1, return_index=True, return_inverse=True)
    table = _named(both.take(pa.array(first)))
    order = pc.sort_indices(table, ORDER).to_numpy()
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    pairs = np.sort(row[code].reshape(2, -1), axis=0)
    pairs = pairs[:, np.lexsort(pairs[::-1])]
    return named_only(table.take(pa.array(order)).combine_chunks()), zip(*pairs.tolist(), strict=True)


def _named(table: pa.Table) -> pa.Table:
    """Clips and videos, whose `n` is -1, with their ids."""
    video_id, n = table.column("video_id"), table.column("n")
    clip_ids = pc.binary_join_element_wise(video_id, n.cast(pa.string()), ".")
    schema = no_shows().table.schema
    ids = pc.if_else(pc.less(n, 0), video_id, clip_ids)
    return table.append_column("id", ids).select(schema.names).cast(schema)


def _split_intros(
    clips: Shows, pairs: Iterable[tuple[int, int]], rule: Likeness
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

"""Decides which split each video goes to. Videos of the same channel, or duplicates of a video, form a component.

A component with a committed member follows it. The others are drawn within their categories, in the order of a hash of
the seed and their names: first so that each split has some of each category, then by share. All data is in columns: a
plan at the paper's scale has 3.3 million videos.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.hashing import hash_name
from manifests.membership import Ids
from pipeline.config.shards import SplitConfig
from pipeline.shards.clips import Int64, PlanVideos
from pipeline.shards.draw import SPLITS, Amounts, Codes, draw


def _no_names() -> pa.Array:
    return pa.array([], pa.string())


@dataclass(frozen=True, slots=True)
class Placed:
    """What committed shards contain already; a new plan never contradicts it. Columns [P], each video once.

    `numbers`: shard numbers in use, by split; `samples`: how many samples there are, by (split, category id).
    """

    video_id: pa.Array = field(default_factory=_no_names)
    channel_id: pa.Array = field(default_factory=_no_names)
    group: pa.Array = field(default_factory=_no_names)
    split: Codes = field(default_factory=lambda: np.zeros(0, np.int8))
    numbers: dict[str, set[int]] = field(default_factory=dict)
    samples: Mapping[tuple[str, int], int] = field(default_factory=dict)


def draw_splits(videos: PlanVideos, placed: Placed, config: SplitConfig, *, seed: int) -> Codes:
    """[V] the split of each video. Videos of the same channel (with `by: channel`) and duplicates go together.

    This fails only if committed shards already have a component in two splits: then a video follows its duplicates
    first, then its channel.
    """
    parts = _components(placed, videos, config)
    n_placed = len(placed.split)
    held = np.zeros(len(parts.names), np.int8)  # bit s: split s has some of the component
    np.bitwise_or.at(held, parts.of_video[:n_placed], (1 << placed.split).astype(np.int8))
    component = parts.of_video[n_placed:]
    there = Ids.of(placed.video_id).rows(videos.video_id)
    is_new = there < 0
    split = (held[component] >> 1).astype(np.int8)  # half of a split's bit is its code (several bits: see below)
    split[~is_new] = placed.split[there[~is_new]]
    several = np.bitwise_count(held[component].astype(np.uint8)) > 1
    for row in np.flatnonzero(is_new & several).tolist():
        split[row] = _nearest(videos, row, placed, int(held[component[row]]))
    is_open = held[component] == 0
    split[is_open] = _draw(parts.names, component, videos, is_open, placed, split, config, seed)
    return split


def _nearest(videos: PlanVideos, row: int, placed: Placed, held: int) -> int:
    """The split of the first video, by id, of the same group; else of the same channel; else the first by name."""
    for name in ("group", "channel_id"):
        value = getattr(videos, name)[row].as_py()
        same = np.flatnonzero(pc.equal(getattr(placed, name), value).to_numpy(zero_copy_only=False))
        if value and len(same):
            ids = placed.video_id.take(pa.array(same)).to_pylist()
            return int(placed.split[same[ids.index(min(ids))]])
    return min((code for code in range(len(SPLITS)) if held >> code & 1), key=lambda code: SPLITS[code])


# what belongs together


@dataclass(frozen=True, slots=True)
class _Components:
    """`names` [N]: sorted names of channels and groups; `of_video` [P+V]: the component of each video.

    A component is represented by the first, by name, of the names that are connected.
    """

    names: pa.Array
    of_video: Int64


def _components(placed: Placed, videos: PlanVideos, config: SplitConfig) -> _Components:
    """Computes the components of the placed videos, followed by those of the new ones."""
    group, groups = _ranked(pa.concat_arrays([placed.group, videos.group]))
    names = pc.binary_join_element_wise("video ", groups, "")
    if config.by != "channel":
        return _Components(names, group)
    channel_id = pa.concat_arrays([placed.channel_id, videos.channel_id])
    channel, channels = _ranked(channel_id)
    names = pa.concat_arrays([pc.binary_join_element_wise("channel ", channels, ""), names])  # in the order of names
    group += len(channels)
    known = np.flatnonzero(pc.not_equal(channel_id, "").to_numpy(zero_copy_only=False))
    return _Components(names, _first_connected(channel[known], group[known], len(names))[group])


def _ranked(column: pa.Array) -> tuple[Int64, pa.Array]:
    """([N] the rank of each text among the distinct texts, the distinct texts sorted)."""
    encoded = pc.dictionary_encode(column)
    order = pc.sort_indices(encoded.dictionary).to_numpy().astype(np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    indices = encoded.indices.to_numpy().astype(np.int64)
    return rank[indices] if len(order) else indices, encoded.dictionary.take(pa.array(order))


def _first_connected(a: Int64, b: Int64, n: int) -> Int64:
    """[n] the smallest node that each node is connected to by the pairs a[i]–b[i]."""
    first = np.arange(n, dtype=np.int64)
    while True:
        near, far = np.minimum(first[a], first[b]), np.maximum(first[a], first[b])
        if (near == far).all():
            return first
        np.minimum.at(first, far, near)
        while (further := first[first]).tobytes() != first.tobytes():
            first = further


# the draw


def _draw(
    names: pa.Array,
    component: Int64,
    videos: PlanVideos,
    is_open: NDArray[np.bool_],
    placed: Placed,
    split: Codes,
    config: SplitConfig,
    seed: int,
) -> Codes:
    """The splits of the open videos, given those [V] of the others."""
    ids, category = np.unique(videos.category_id, return_inverse=True)
    n_samples = videos.n_samples()
    have = np.zeros((len(ids) + 1, len(SPLITS)), np.int64)  # the last row: all categories
    for (name, category_id), n in placed.samples.items():
        have[np.append(ids == category_id, True), SPLITS.index(name)] += n
    for of in (category, np.full_like(category, len(ids))):
        np.add.at(have, (of[~is_open], split[~is_open]), n_samples[~is_open])
    open_, place = np.unique(component[is_open], return_inverse=True)
    hashes = [hash_name(seed, "split", name) for name in names.take(pa.array(open_)).to_pylist()]
    rank = np.empty(len(open_), np.int64)
    rank[np.argsort(np.array(hashes, np.uint64), kind="stable")] = np.arange(len(open_))
    amounts = Amounts.of(rank[place], category[is_open], n_samples[is_open])
    shares = (1 - config.val - config.test, config.val, config.test)
    return draw(amounts, have, shares)[rank[place]]

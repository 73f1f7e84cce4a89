"""Plans which sample goes into which shard: pure functions that touch no files.

1. Splits (`splits.py`).
2. Spread. Videos are ordered by a hash, so that any few shards mix the categories.
3. Cut. The ordered videos are cut into as few shards as the size allows, of about equal size. While more is to come,
   only as many videos are taken as fill whole shards; the others wait for the next generation.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from manifests.hashing import hash_name
from pipeline.config.shards import ShardsConfig
from pipeline.shards.clips import Int64, PlanVideo, PlanVideos
from pipeline.shards.draw import SPLITS, TRAIN
from pipeline.shards.splits import Placed, draw_splits


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard to be made: the clips of `content`, in the order of the spread."""

    split: str
    number: int
    generation: int
    content: PlanVideos

    @property
    def videos(self) -> tuple[PlanVideo, ...]:
        """Its content, video by video."""
        return self.content.rows()

    @property
    def stem(self) -> str:
        """The path of its files without suffix."""
        return f"shards/{self.split}/{self.number:05d}"

    @property
    def name(self) -> str:
        """The name of its unit: from its path and content."""
        content = repr([(v.video_id, [(c.n, c.bytes_) for c in v.clips]) for v in self.videos])
        digest = hashlib.blake2b(f"{self.generation}|{content}".encode(), digest_size=8).hexdigest()
        return f"{self.split}-{self.number:05d}-{digest}"


def plan_shards(
    videos: PlanVideos, placed: Placed, config: ShardsConfig, *, seed: int, generation: int, only_full: bool = False
) -> list[PlannedShard]:
    """Plans shards for all clips of `videos`; the order of `videos` has no effect.

    `only_full`: only shards that can be filled by now, and none at all if no train shard can be. A held-out split
    without any shard yet gets a shard from what there is, so that the data set can be evaluated from the first day.

    Failed clips follow their video's split; if that split gets no new shard, they are left for a later generation.
    """
    codes = draw_splits(videos, placed, config.split, seed=seed)
    planned: list[PlannedShard] = []
    for code, split in enumerate(SPLITS):
        of_split = _spread(videos.take(np.flatnonzero(codes == code)), seed)
        if only_full and (split == TRAIN or placed.numbers.get(split)):
            of_split = _filling(of_split, config)
        if only_full and split == TRAIN and not len(of_split):
            return []
        numbers = _free_numbers(placed.numbers.get(split, set()))
        for content in _cut(of_split, config):
            planned.append(PlannedShard(split, next(numbers), generation, content))
    return planned


def _spread(videos: PlanVideos, seed: int) -> PlanVideos:
    """Orders videos by a hash of their ids."""
    hashes = [hash_name(seed, "spread", video_id) for video_id in videos.video_id.to_pylist()]
    table = pa.table({"hash": pa.array(hashes, pa.uint64()), "id": videos.video_id, "row": np.arange(len(videos))})
    order = table.sort_by([("hash", "ascending"), ("id", "ascending")]).column("row").to_numpy()
    return videos.take(order)


def _filling(videos: PlanVideos, config: ShardsConfig) -> PlanVideos:
    """The first videos that together fill whole shards. No video is closed in part, since its pack is deleted then."""
    n_bytes, n_samples = videos.sums(videos.bytes_).cumsum(), videos.n_samples().cumsum()
    whole_bytes, whole_samples = int(videos.bytes_.sum()), int(videos.is_sample().sum())
    n_shards = max(whole_bytes // config.max_bytes, whole_samples // config.max_samples if config.max_samples else 0)
    fits = (n_bytes <= n_shards * config.max_bytes) & (n_samples <= n_shards * (config.max_samples or whole_samples))
    taken = videos.take(np.arange(len(videos) if fits.all() else int(fits.argmin())))
    return taken if taken.is_sample().any() else PlanVideos.of(())


def _free_numbers(used: set[int]) -> Iterator[int]:
    number = 0
    while True:
        if number not in used:
            yield number
        number += 1


def _cut(videos: PlanVideos, config: ShardsConfig) -> Iterator[PlanVideos]:
    """Cuts videos in order into shards of about equal size; a video may continue in the next shard."""
    is_sample = videos.is_sample()
    n_samples = int(is_sample.sum())
    if not n_samples:
        return
    by_bytes = -(-int(videos.bytes_.sum()) // config.max_bytes)
    by_count = -(-n_samples // config.max_samples) if config.max_samples else 1
    edges = _edges(videos.bytes_ if by_bytes >= by_count else is_sample.astype(np.int64), max(by_bytes, by_count))
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if is_sample[first:end].any():
            yield videos.between(first, end)


def _edges(sizes: Int64, n_shards: int) -> Int64:
    """[n_shards + 1] index of each shard's first clip: the first with the shard's part of the total before it."""
    before, total = np.cumsum(sizes, dtype=np.int64) - sizes, int(sizes.sum())
    parts = np.array([-(-shard * total // n_shards) for shard in range(1, n_shards)], np.int64)
    return np.concatenate(([0], np.searchsorted(before, parts), [len(sizes)])).astype(np.int64)

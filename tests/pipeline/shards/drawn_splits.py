"""A draw of splits over a few videos, some of which are placed already."""

from collections import Counter

import numpy as np

from pipeline.config.shards import SplitConfig
from pipeline.shards.clips import PlanVideo, PlanVideos
from pipeline.shards.draw import SPLITS
from pipeline.shards.splits import Placed, draw_splits

HELD_OUT = SplitConfig(val=0.2, test=0.2)


def placed(*rows: tuple[PlanVideo, str]) -> Placed:
    videos = PlanVideos.of([row for row, _ in rows])
    codes = np.array([SPLITS.index(split) for _, split in rows], np.int8)
    samples = Counter[tuple[str, int]]()
    for one, split in rows:
        samples[split, one.category_id] += len(one.clips)
    return Placed(videos.video_id, videos.channel_id, videos.group, codes, {}, samples)


def drawn(videos: list[PlanVideo], there: Placed, config: SplitConfig = HELD_OUT, seed: int = 0) -> dict[str, str]:
    codes = draw_splits(PlanVideos.of(videos), there, config, seed=seed)
    return {one.video_id: SPLITS[code] for one, code in zip(videos, codes.tolist(), strict=True)}

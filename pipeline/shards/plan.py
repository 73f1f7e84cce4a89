"""Which sample goes into which shard: pure functions, no file is touched.

1. Splits. What belongs together (one channel, or the duplicates of one video) is a component. A
   component with a committed member follows it; another is drawn by a hash of the seed and its name, so that its split
   does not depend on what else the crawl found. Where a held-out split would stay empty, it gets one component.
2. Spread. Videos are put in the order of a hash, so that any few shards mix the categories.
3. Cut. That order is cut into as few shards as the size allows, all about as large. While more is to come, only as many
   videos are taken as fill whole shards; the others wait for the next generation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from manifests.hashing import hash_name
from pipeline.balance.groups import groups_of
from pipeline.config.shards import ShardsConfig, SplitConfig

TRAIN = "train"
HELD_OUT = ("val", "test")


@dataclass(frozen=True, slots=True)
class PlanClip:
    """A clip to be put into a shard: its number in its video and the bytes of its sample; 0 bytes where it failed."""

    n: int
    bytes_: int

    @property
    def is_sample(self) -> bool:
        """Whether the clip was made (else only its row goes into the shard)."""
        return self.bytes_ > 0


@dataclass(frozen=True, slots=True)
class PlanVideo:
    """A video with clips to be put into shards. `group` is shared by duplicates (its own id where it has none)."""

    video_id: str
    channel_id: str
    group: str
    clips: tuple[PlanClip, ...] = ()


@dataclass(slots=True)
class Placed:
    """What committed shards hold already; a new plan never contradicts it."""

    splits: dict[str, str] = field(default_factory=dict)
    """Split of each video."""
    videos: dict[str, PlanVideo] = field(default_factory=dict)
    """The videos themselves, without clips."""
    numbers: dict[str, set[int]] = field(default_factory=dict)
    """Shard numbers in use, by split."""


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """One shard to be made: clips of `videos`, in the order of the spread."""

    split: str
    number: int
    generation: int
    videos: tuple[PlanVideo, ...]

    @property
    def stem(self) -> str:
        """Path of its files without suffix."""
        return f"shards/{self.split}/{self.number:05d}"

    @property
    def name(self) -> str:
        """Name of its unit: path and content."""
        content = repr([(v.video_id, [(c.n, c.bytes_) for c in v.clips]) for v in self.videos])
        digest = hashlib.blake2b(f"{self.generation}|{content}".encode(), digest_size=8).hexdigest()
        return f"{self.split}-{self.number:05d}-{digest}"


def plan_shards(
    videos: Sequence[PlanVideo],
    placed: Placed,
    config: ShardsConfig,
    *,
    seed: int,
    generation: int,
    only_full: bool = False,
) -> list[PlannedShard]:
    """The shards that hold all clips of `videos`. The order in which videos are given does not count.

    `only_full`: those that are full by now, none where none of train is; a held-out split that has no shard yet gets
    one of what there is, so that the data set can be evaluated on from the first day.

    Failed clips follow their video's split; where that split gets no new shard they are left for a later generation.
    """
    splits = draw_splits(videos, placed, config.split, seed=seed)
    planned: list[PlannedShard] = []
    for split in (TRAIN, *HELD_OUT):
        of_split = [video for video in videos if splits[video.video_id] == split]
        of_split.sort(key=lambda video: (hash_name(seed, "spread", video.video_id), video.video_id))
        if only_full and (split == TRAIN or placed.numbers.get(split)):
            of_split = _filling(of_split, config)
        if only_full and split == TRAIN and not of_split:
            return []
        numbers = _free_numbers(placed.numbers.get(split, set()))
        for content in _cut(of_split, config):
            planned.append(PlannedShard(split, next(numbers), generation, content))
    return planned


def _filling(videos: Sequence[PlanVideo], config: ShardsConfig) -> list[PlanVideo]:
    """The first videos that together fill whole shards: no video is closed in part, since its pack goes then."""
    n_bytes, n_samples = _sizes(videos)
    n_shards = max(n_bytes // config.max_bytes, n_samples // config.max_samples if config.max_samples else 0)
    taken: list[PlanVideo] = []
    bytes_left, samples_left = n_shards * config.max_bytes, n_shards * (config.max_samples or n_samples)
    for video in videos:
        video_bytes, video_samples = _sizes([video])
        bytes_left, samples_left = bytes_left - video_bytes, samples_left - video_samples
        if bytes_left < 0 or samples_left < 0:
            break
        taken.append(video)
    return taken if _sizes(taken)[1] else []


def _sizes(videos: Iterable[PlanVideo]) -> tuple[int, int]:
    """(bytes, samples) of videos."""
    clips = [clip for video in videos for clip in video.clips]
    return sum(clip.bytes_ for clip in clips), sum(clip.is_sample for clip in clips)


def _free_numbers(used: set[int]) -> Iterator[int]:
    number = 0
    while True:
        if number not in used:
            yield number
        number += 1


def _cut(videos: Sequence[PlanVideo], config: ShardsConfig) -> list[tuple[PlanVideo, ...]]:
    """Cuts videos in order into shards of about equal size; a video may go on in the next shard."""
    clips = [(video, clip) for video in videos for clip in video.clips]
    n_samples = sum(clip.is_sample for _, clip in clips)
    if not n_samples:
        return []
    n_bytes = sum(clip.bytes_ for _, clip in clips)
    by_bytes = -(-n_bytes // config.max_bytes)
    by_count = -(-n_samples // config.max_samples) if config.max_samples else 1
    n_shards = max(by_bytes, by_count)
    sizes = [clip.bytes_ if by_bytes >= by_count else int(clip.is_sample) for _, clip in clips]
    total = sum(sizes)
    shards: list[list[tuple[PlanVideo, PlanClip]]] = [[] for _ in range(n_shards)]
    before = 0
    for size, pair in zip(sizes, clips, strict=True):
        shards[min(before * n_shards // total, n_shards - 1)].append(pair)
        before += size
    return [_regroup(pairs) for pairs in shards if any(clip.is_sample for _, clip in pairs)]


def _regroup(pairs: Sequence[tuple[PlanVideo, PlanClip]]) -> tuple[PlanVideo, ...]:
    regrouped = []
    for _, run in groupby(pairs, key=lambda pair: pair[0].video_id):
        same = list(run)
        regrouped.append(replace(same[0][0], clips=tuple(clip for _, clip in same)))
    return tuple(regrouped)


def draw_splits(videos: Sequence[PlanVideo], placed: Placed, config: SplitConfig, *, seed: int) -> dict[str, str]:
    """The split of each video. Videos of one channel (with `by: channel`) and duplicates go to the same one.

    Only where committed shards hold a component in two splits already can that not be kept: there a video follows
    its duplicates first, then its channel.
    """
    components = _components([*placed.videos.values(), *videos], config)
    fixed: dict[str, set[str]] = {}
    for video_id, split in placed.splits.items():
        fixed.setdefault(components[video_id], set()).add(split)
    new = [video for video in videos if video.video_id not in placed.splits]
    open_ = {components[video.video_id] for video in new} - fixed.keys()
    drawn = _draw(open_, new, components, set(placed.splits.values()), config, seed)
    result = {video.video_id: placed.splits[video.video_id] for video in videos if video.video_id in placed.splits}
    for video in new:
        component = components[video.video_id]
        known = fixed.get(component)
        if known is None:
            result[video.video_id] = drawn[component]
        else:
            result[video.video_id] = next(iter(known)) if len(known) == 1 else _nearest(video, placed, known)
    return result


def _nearest(video: PlanVideo, placed: Placed, known: set[str]) -> str:
    others = sorted(placed.videos.values(), key=lambda other: other.video_id)
    for other in others:
        if other.group == video.group:
            return placed.splits[other.video_id]
    for other in others:
        if video.channel_id and other.channel_id == video.channel_id:
            return placed.splits[other.video_id]
    return min(known)


def _components(videos: Iterable[PlanVideo], config: SplitConfig) -> dict[str, str]:
    """Component name of each video: the smallest name among its channels and groups."""
    nodes: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for video in videos:
        group = f"video {video.group}"
        by_channel = config.by == "channel" and video.channel_id
        pairs.append((f"channel {video.channel_id}" if by_channel else group, group))
        nodes[video.video_id] = group
    component = {node: names[0] for names in groups_of(pairs) for node in names}
    return {video_id: component[node] for video_id, node in nodes.items()}


def _draw(
    open_: set[str],
    new: Sequence[PlanVideo],
    components: Mapping[str, str],
    present: set[str],
    config: SplitConfig,
    seed: int,
) -> dict[str, str]:
    draw = {name: hash_name(seed, "split", name) / 2**64 for name in open_}
    bounds = {"val": config.val, "test": config.val + config.test}
    drawn = {name: next((s for s in HELD_OUT if u < bounds[s]), TRAIN) for name, u in draw.items()}
    n_samples = dict.fromkeys(open_, 0)
    for video in new:
        if components[video.video_id] in n_samples:
            n_samples[components[video.video_id]] += sum(clip.is_sample for clip in video.clips)
    for split in HELD_OUT:
        empty = split not in present and not any(n_samples[n] for n, s in drawn.items() if s == split)
        if getattr(config, split) > 0 and empty:
            _give_one(split, drawn, draw, n_samples)
    return drawn


def _give_one(split: str, drawn: dict[str, str], draw: Mapping[str, float], n_samples: Mapping[str, int]) -> None:
    """Moves the first component in drawing order that holds at most half of all samples from train to a split."""
    total = sum(n_samples.values())
    able = [name for name, s in drawn.items() if s == TRAIN and 0 < 2 * n_samples[name] <= total]
    if able:
        drawn[min(able, key=lambda name: (draw[name], name))] = split

"""Thousands of listed videos over 15 very unequal categories, sharing a few small media files, for tests and benches.

Some of them misbehave, in every known way.
"""

import itertools
from collections.abc import Sequence

from manifests.categories import category_name, load_categories
from miniyoutube.catalogue import (
    AUTO_EN,
    CREATIVE_COMMONS,
    MANUAL_EN,
    Catalogue,
    Channel,
    Video,
    cast,
    site_id,
    stable_hash,
)
from miniyoutube.misbehave import BEHAVIOURS, EDITED
from miniyoutube.script import Script

FAST_BEHAVIOURS: tuple[str, ...] = tuple(
    name for name, row in BEHAVIOURS.items() if not row.slow and name not in ("good", *EDITED)
)
"""Every behaviour that doesn't make a client wait for its own time limit, and that shows in a single run."""

_N_PAUSING = 2
"""Videos per behaviour that pauses an identity: with more, a run would do nothing else."""
_SHRINK = 0.75
"""Each category has this share of the last."""
N_MEDIA = 4
"""Files that all videos share."""


def a_catalogue(
    n_videos: int = 2000,
    *,
    seed: int = 0,
    misbehaving: float = 1 / 3,
    behaviours: Sequence[str] = FAST_BEHAVIOURS,
    videos_per_channel: int = 8,
) -> Catalogue:
    """Makes `n_videos` videos of 12 to 18 s (one or two sentences each, all different) that share N_MEDIA files.

    A share of `misbehaving` has a behaviour of `behaviours`, each about equally often, but at most two videos for each
    behaviour that pauses an identity. The same arguments give the same catalogue.
    """
    names = _behaviours_for(round(n_videos * misbehaving), behaviours)
    sizes = category_sizes(n_videos, seed)
    # behaviours are dealt over the categories by hash, so that each category has its share
    slots = [(category_id, n) for category_id, size in sizes.items() for n in range(size)]
    dealt = sorted(slots, key=lambda slot: stable_hash("deal", seed, *slot))
    behaviour_of = dict(zip(dealt, names, strict=False))
    plain = {slot: a_video(seed, slot, videos_per_channel) for slot in slots}
    good = {slot: video for slot, video in plain.items() if slot not in behaviour_of}
    videos = [_cast_in_place(plain[slot], behaviour_of.get(slot, "good"), good, sizes) for slot in slots]
    return Catalogue(tuple(videos))


def category_sizes(n_videos: int, seed: int = 0) -> dict[int, int]:
    """Very unequal sizes: each category has three quarters of the last, in an order drawn by the seed."""
    ids = sorted((c.id for c in load_categories()), key=lambda category_id: stable_hash("order", seed, category_id))
    weights = [_SHRINK**i for i in range(len(ids))]
    sizes = [max(1, round(n_videos * weight / sum(weights))) for weight in weights]
    sizes[0] += n_videos - sum(sizes)
    return dict(zip(ids, sizes, strict=True))


def _behaviours_for(n: int, behaviours: Sequence[str]) -> list[str]:
    """`n` names in turn; those that pause an identity at most twice."""
    pausing = [name for name in behaviours if BEHAVIOURS[name].expected.pauses]
    others = [name for name in behaviours if name not in pausing]
    names = [name for name in pausing for _ in range(_N_PAUSING)][:n]
    return names + list(itertools.islice(itertools.cycle(others), n - len(names) if others else 0))


def a_video(seed: int, slot: tuple[int, int], videos_per_channel: int) -> Video:
    """A well-behaved video with its own words; its frames are those of a shared file of equal length."""
    category_id, n = slot
    video_seed = stable_hash("big", seed, category_id, n) % 10**9
    footage = Script(video_seed % N_MEDIA, 1, 12_000 + 2_000 * (video_seed % N_MEDIA), "short")
    script = Script(video_seed, category_id, footage.duration_ms, "short")
    channel_n = n // videos_per_channel
    channel = Channel(
        "UC" + site_id(22, "big channel", seed, category_id, channel_n),
        f"@channel.{category_id}.{channel_n}-{seed}",
        f"{category_name(category_id)} channel {channel_n}",
    )
    return Video(
        video_id=site_id(11, "big", seed, category_id, n),
        title=f"{category_name(category_id)} {n}",
        channel=channel,
        category_id=category_id,
        script=script,
        footage=footage,
        tracks=(AUTO_EN,) if video_seed % 2 else (MANUAL_EN, AUTO_EN),
        license=CREATIVE_COMMONS if video_seed % 5 == 0 else "",
        upload_date=f"20{15 + video_seed % 10}-{1 + video_seed % 12:02}-{1 + video_seed % 28:02}",
        view_count=video_seed % 10**6,
    )


def _cast_in_place(video: Video, behaviour: str, good: dict[tuple[int, int], Video], sizes: dict[int, int]) -> Video:
    """Gives the video its behaviour; a video of a wrong category is listed under the largest other category."""
    another = next(category_id for category_id in sizes if category_id != video.category_id)
    candidates = [v for v in good.values() if v.channel != video.channel] if behaviour == "reupload" else []
    same_category = [v for v in candidates if v.category_id == video.category_id] or candidates
    original = same_category[stable_hash(video.video_id) % len(same_category)] if same_category else None
    return cast(video, behaviour, another_category=another, original=original)

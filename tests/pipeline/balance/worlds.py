"""Candidates, clips and settings of every kind: what the tests of balance draw their cases from."""

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.balance.clip_lists import ClipLists, clip_lists
from pipeline.balance.ranking import CANDIDATES
from pipeline.balance.selection import Selection
from pipeline.balance.standing import REJECTED_VIDEOS
from pipeline.config.balance import BalanceConfig

MUSIC, SPORTS, NEWS, FILM, UNCATEGORISED = 10, 17, 25, 1, -1


def candidates(rows: list[tuple[str, int, str, int, int]]) -> pa.Table:
    """A table of (video_id, category_id, channel_id, n_clips, clips_ms)."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    return pa.table(dict(zip(CANDIDATES.names, columns, strict=True)), schema=CANDIDATES)


def made(clips: Mapping[str, list[int]]) -> ClipLists:
    """Clips that exist: durations in ms by video; n counts from 0."""
    rows = [(video, n, ms) for video, lengths in clips.items() for n, ms in enumerate(lengths)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 3
    return clip_lists([pa.table(dict(zip(("video_id", "n", "duration_ms"), columns, strict=True)))])


def away(reasons: Mapping[str, Reason]) -> pa.Table:
    return pa.table({"video_id": list(reasons), "reason": [r.value for r in reasons.values()]}, schema=REJECTED_VIDEOS)


def kept_by(selection: Selection, *columns: str) -> Counter:
    """Clips kept by the values of columns."""
    found: Counter = Counter()
    for row in selection.table.to_pylist():
        found[tuple(row[c] for c in columns) if len(columns) > 1 else row[columns[0]]] += len(row["clips_kept"])
    return found


@st.composite
def worlds(draw: st.DrawFn) -> tuple[pa.Table, dict[str, list[int]]]:
    """Candidates in a few categories and channels, and the clips that fetching them would give."""
    rows, clips = [], {}
    for k in range(draw(st.integers(0, 30))):
        video = f"video{k:03d}"
        lengths = draw(st.lists(st.integers(1_000, 30_000), max_size=6))
        category = draw(st.sampled_from([MUSIC, SPORTS, NEWS, UNCATEGORISED]))
        rows.append((video, category, draw(st.sampled_from(["", "a", "b", "c"])), len(lengths), sum(lengths)))
        clips[video] = lengths[: draw(st.integers(0, len(lengths)))]
    return candidates(rows), clips


configs = st.builds(
    BalanceConfig,
    policy=st.sampled_from(["equal", "hd-vila"]),
    unit=st.just("clips"),
    total=st.one_of(st.none(), st.integers(1, 60)),
    max_hours_per_category=st.sampled_from([30_000.0, 0.01, 0.03]),
    max_channel_share=st.sampled_from([1.0, 0.5, 0.34, 0.1]),
)
hour_configs = st.builds(
    BalanceConfig,
    unit=st.just("hours"),
    total=st.one_of(st.none(), st.floats(0.001, 0.3)),
    max_hours_per_category=st.sampled_from([30_000.0, 0.01, 0.03]),
    max_channel_share=st.sampled_from([1.0, 0.5, 0.34]),
)
video_configs = st.builds(
    BalanceConfig,
    policy=st.sampled_from(["equal", "hd-vila"]),
    unit=st.just("videos"),
    total=st.one_of(st.none(), st.integers(1, 30)),
    max_hours_per_category=st.sampled_from([30_000.0, 0.01, 0.03]),
    max_channel_share=st.sampled_from([1.0, 0.5, 0.34]),
)
any_configs = st.one_of(configs, hour_configs, video_configs)


@st.composite
def limited_worlds(draw: st.DrawFn) -> tuple[pa.Table, dict[str, list[int]], BalanceConfig]:
    """Candidates whose clips all exist, in channels of unequal size, and a configuration in which limits bind."""
    rows, clips = [], {}
    for k in range(draw(st.integers(0, 40))):
        lengths = draw(st.lists(st.integers(1_000, 20_000), max_size=5))
        category = draw(st.sampled_from([MUSIC, SPORTS, NEWS]))
        channel = draw(st.sampled_from(["", "big", "big", "big", "b", "c", "d"]))
        rows.append((f"video{k:03d}", category, channel, len(lengths), sum(lengths)))
        clips[f"video{k:03d}"] = lengths
    config = BalanceConfig(
        policy=draw(st.sampled_from(["equal", "hd-vila"])),
        unit="clips",
        total=draw(st.one_of(st.none(), st.integers(1, 80))),
        max_hours_per_category=draw(st.sampled_from([30_000.0, 0.005, 0.01, 0.03])),
        max_channel_share=draw(st.sampled_from([1.0, 0.5, 0.34])),
    )
    return candidates(rows), clips, config

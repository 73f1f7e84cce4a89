"""The funnel of an output directory: what became of every candidate and planned clip, and which videos are missing."""

from manifests.funnel import FunnelCounts, Level, RejectCount
from manifests.stages import rank_of
from pipeline.engine.store.store import Store
from pipeline.query.streams import Streams, stream_tables

LISTED = "SELECT count(DISTINCT video_id) FROM listings"
VIDEOS = "SELECT count(*), count(*) FILTER (kept) FROM fates"
VIDEO_LOSSES = "SELECT stage, reason, count(*) FROM fates WHERE stage <> '' GROUP BY ALL"
MISSING = "SELECT stage, video_id FROM missing ORDER BY ALL"
CLIPS = """
SELECT coalesce(sum(n_planned), 0)::BIGINT
    + (SELECT count(*) FROM rejects_in_force JOIN stages USING (stage) WHERE clip_id <> '' AND builds_on = 'clips'),
    coalesce(sum(n_kept) FILTER (kept), 0)::BIGINT,
    coalesce(sum(n_planned - CASE WHEN kept THEN n_tried ELSE n_failed END) FILTER (stage = ''), 0)::BIGINT
FROM fates
"""
CLIP_LOSSES = "SELECT stage, reason, amount FROM clip_losses"
FUNNEL = (LISTED, VIDEOS, VIDEO_LOSSES, MISSING, CLIPS, CLIP_LOSSES)
"""What `funnel_of` and `missing_of` ask."""


def funnel(store: Store) -> FunnelCounts:
    """The funnel of an output directory."""
    with stream_tables(store, *FUNNEL) as tables:
        return funnel_of(tables)


def funnel_of(tables: Streams) -> FunnelCounts:
    """The funnel, from tables that were opened for FUNNEL."""
    ((listed,),) = tables.rows(LISTED)
    ((n_videos, n_kept),) = tables.rows(VIDEOS)
    n_missing = len(tables.rows(MISSING))
    ((n_clips, n_clips_kept, n_clips_missing),) = tables.rows(CLIPS)
    return FunnelCounts(
        listed=listed,
        videos=Level(n_videos, n_kept, n_missing, _losses(tables, VIDEO_LOSSES)),
        clips=Level(n_clips, n_clips_kept, n_clips_missing, _losses(tables, CLIP_LOSSES)),
    )


def missing_of(tables: Streams) -> dict[str, list[str]]:
    """{stage: ids} of videos that a stage should have decided on but has not, in the order of the stages."""
    missing: dict[str, list[str]] = {}
    for stage, video_id in tables.rows(MISSING):
        missing.setdefault(stage, []).append(video_id)
    return {stage: missing[stage] for stage in sorted(missing, key=rank_of)}


def _losses(tables: Streams, text: str) -> tuple[RejectCount, ...]:
    losses = [RejectCount(*row) for row in tables.rows(text)]
    return tuple(sorted(losses, key=lambda loss: (rank_of(loss.stage), loss.stage, -loss.count, loss.reason)))

"""Changes the shard size or the split of a finished data set: a new plan, the same samples byte for byte."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.errors import UserError
from manifests.funnel import SELECTION_NAME
from manifests.lock import RunLock
from manifests.parquet import read_parquet
from manifests.schema import SELECTION
from manifests.shards import Manifest, ShardEntry, read_manifest
from pipeline.config.shards import ShardsConfig
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way, write_tombstones
from pipeline.report.page import write_first_report
from pipeline.shards.clips import PlanClip, PlanVideo, PlanVideos
from pipeline.shards.draw import SPLITS
from pipeline.shards.files import Piece, clip_number, join_shard, pieces_of, put_shard
from pipeline.shards.manifest import given_head, publish, refuse_existing
from pipeline.shards.plan import PlannedShard, plan_shards
from pipeline.shards.splits import Placed
from pipeline.shards.stage import in_shard_order

MAX_VIDEOS = 200_000_000


def reshard(source: Store, out: Store, config: ShardsConfig, *, seed: int = 0, redraw: bool = False) -> Manifest:
    """Writes the samples of `source` to `out` in shards of another size.

    Each sample keeps its split unless `redraw`; then splits are drawn by `config.split` and the seed. Raises UserError
    if `source` is not a finished data set or `out` has one already.
    """
    manifest = read_manifest(source.url, **dict(source.options))
    refuse_existing(out)
    tombstones = read_tombstones(source)
    refuse_while_under_way(source, tombstones)
    pieces: dict[str, list[Piece]] = {}
    splits: dict[str, str] = {}
    for entry in manifest.shards:
        for piece in pieces_of(source, entry):
            video_id = piece.row["video_id"]
            pieces.setdefault(video_id, []).append(piece)
            splits[video_id] = entry.split
    groups = _groups(source)
    videos = PlanVideos.of(_plan_video(video_id, same, groups, source.url) for video_id, same in pieces.items())
    placed = Placed() if redraw else _placed(videos, splits)
    plan = plan_shards(videos, placed, config, seed=seed, generation=0)
    with RunLock(out):
        write_tombstones(out, tombstones)
        entries = [_make(shard, pieces, out, seed) for shard in counted(plan, len(plan), "reshard")]
        head, card = given_head(manifest.head)
        made = publish(out, entries, {**head, "resharded_from": manifest.sha256}, card)
        write_first_report(out)
        return made


def _placed(videos: PlanVideos, splits: Mapping[str, str]) -> Placed:
    """Each video in its split. Raises UserError if shards are not planned for that split."""
    if unknown := sorted({*splits.values()} - {*SPLITS}):
        raise UserError(f"split {unknown[0]!r} is none of {', '.join(SPLITS)}; `--split-by` draws new ones")
    code = np.array([SPLITS.index(splits[video_id]) for video_id in videos.video_id.to_pylist()], np.int8)
    return Placed(videos.video_id, videos.channel_id, videos.group, code)


def _plan_video(video_id: str, pieces: list[Piece], groups: dict[str, str], url: str) -> PlanVideo:
    clips = [PlanClip(clip_number(p.row, url), p.sample.bytes_ if p.sample else 0) for p in pieces]
    clips.sort(key=lambda clip: (clip.n, clip.bytes_))
    row = pieces[0].row
    group = groups.get(video_id, video_id)
    return PlanVideo(video_id, row["channel_id"], group, tuple(clips), row["category_id"])


def _groups(source: Store) -> dict[str, str]:
    """Groups of duplicates, if the data set still has its selection."""
    if not source.exists(SELECTION_NAME):
        return {}
    schema = pa.schema([SELECTION.field(name) for name in ("video_id", "group")])
    data = source.read(SELECTION_NAME)
    rows = read_parquet(data, schema, f"{source.url}/{SELECTION_NAME}", max_rows=MAX_VIDEOS).to_pylist()
    return {row["video_id"]: row["group"] or row["video_id"] for row in rows}


def _make(shard: PlannedShard, pieces: dict[str, list[Piece]], out: Store, seed: int) -> ShardEntry:
    wanted = {(video.video_id, clip.n, clip.is_sample) for video in shard.videos for clip in video.clips}
    chosen = [
        piece
        for video in shard.videos
        for piece in pieces[video.video_id]
        if (video.video_id, clip_number(piece.row, piece.tar), piece.sample is not None) in wanted
    ]
    url = f"{shard.stem}.tar"
    with tempfile.TemporaryDirectory() as scratch:
        entry = join_shard(in_shard_order(chosen, seed), Path(scratch), url=url, split=shard.split, generation=0)
        put_shard(out, Path(scratch), url)
    return entry

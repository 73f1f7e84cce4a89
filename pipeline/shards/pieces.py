"""Turns rows of table `packs` into rows of a shard, with the offset of each sample in its pack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from manifests.reasons import Reason
from manifests.rows import PackRow, ShardRow
from manifests.schema import PACKS
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.media.packs import PackedSample
from pipeline.shards.clips import PlanVideo
from pipeline.shards.files import FAILED, SUCCESS, Piece

_SAME = ("key", "reason", "error_message", "clip_id", "video_id", "channel_id", "category_id", "start_ms", "end_ms")
_SAME_FACTS = ("duration_ms", "width", "height", "fps", "codec")


def pieces_of_video(store: Store, video: PlanVideo, part: Part, url: str) -> list[Piece]:
    """The planned clips of a video as pieces, from the part of `packs` that has its rows."""
    wanted = {clip.n for clip in video.clips}
    columns = [name for name in PACKS.names if name != "phashes"]
    rows = store.read_part(part, columns).to_pylist()
    return [piece_of(store, row, url) for row in rows if row["video_id"] == video.video_id and row["n"] in wanted]


def piece_of(store: Store, row: PackRow, url: str) -> Piece:
    """Makes the piece for a row of `packs`."""
    made = row["status"] == SUCCESS
    facts: Mapping[str, Any] = row
    shard_row = {
        **{name: facts[name] for name in (*_SAME, *_SAME_FACTS)},
        "url": url,
        "caption": row["text"],
        "clips": json.dumps([[row["start_ms"], row["end_ms"]]]),
        "status": SUCCESS if made else FAILED,
        "members": "{}",
    }
    if not made:
        return Piece(cast(ShardRow, shard_row))
    members = {extension: (at, size) for extension, (at, size) in json.loads(row["members"]).items()}
    sample = PackedSample(row["key"], row["pack_offset"], row["pack_bytes"], members)
    return Piece(cast(ShardRow, shard_row), store, row["pack"], sample)


def failed_piece(piece: Piece, reason: Reason, detail: str) -> Piece:
    """The same clip, marked as failed."""
    row = {**piece.row, "status": FAILED, "reason": reason.value, "error_message": detail, "members": "{}"}
    return replace(piece, row=cast(ShardRow, row), store=None, tar="", sample=None)

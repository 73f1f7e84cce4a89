"""Makes rows of each table as wide as real ones, for `stores.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.scaling.columns import CLIP_MS, CLIPS_A_VIDEO, SPOKEN_OUTSIDE, WORDS_A_CLIP, WORDS_A_VIDEO, Draw
from manifests.categories import category_name
from manifests.reasons import Reason
from manifests.sample import sample_key
from manifests.schema import CLIPS, PACKS, REJECTS, TABLES, TRANSCRIPTS, VIDEOS

FAILED_CLIPS = 0.1
LONG_AGO = "2026-01-01T00:00:00+00:00"


def filled(schema: pa.Schema, n: int, columns: dict[str, Any]) -> pa.Table:
    """A table of n rows: the columns given, and values that mean "unknown" in the others."""

    def blank(kind: pa.DataType) -> Any:
        if pa.types.is_string(kind):
            return pa.array([""] * n, kind)
        if pa.types.is_list(kind):
            return pa.array([[]] * n, kind)
        return pa.array(np.zeros(n), pa.float64()).cast(kind)

    arrays = {f.name: columns[f.name] if f.name in columns else blank(f.type) for f in schema}
    return pa.table({k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in arrays.items()}).cast(schema)


def videos_table(draw: Draw, ids: list[str], categories: list[int], channel: list[str]) -> pa.Table:
    columns = {
        "video_id": ids,
        "url": [f"https://www.youtube.com/watch?v={i}" for i in ids],
        "source": ["search"] * len(ids),
        "query": [f"words of query {c}" for c in categories],
        "category_id": categories,
        "category": [category_name(c) for c in categories],
        "title": draw.texts(len(ids), 8),
        "channel_id": channel,
        "channel": channel,
        "duration_s": draw.rng.random(len(ids)) * 900 + 60,
        "language": ["en"] * len(ids),
        "upload_date": ["20240102"] * len(ids),
        "heights": [[360, 480, 720, 1080]] * len(ids),
        "caption_tracks": [["manual:en", "auto:en"]] * len(ids),
        "egress": ["direct"] * len(ids),
        "yt_dlp_version": ["2026.11.1"] * len(ids),
    }
    return filled(VIDEOS, len(ids), columns)


def captions_table(draw: Draw, ids: list[str], words: pa.Array) -> pa.Table:
    columns = {
        "video_id": ids,
        "kind": ["auto"] * len(ids),
        "language": ["en"] * len(ids),
        "track": ["en"] * len(ids),
        "format": ["json3"] * len(ids),
        "payload": draw.payloads(words, len(ids)),
    }
    return filled(TABLES["captions"], len(ids), columns)


def transcripts_table(draw: Draw, ids: list[str], words: pa.Array) -> pa.Table:
    columns = {
        "video_id": ids,
        "kind": ["auto"] * len(ids),
        "language": ["en"] * len(ids),
        "format": ["json3"] * len(ids),
        "track": ["en"] * len(ids),
        "n_words": [WORDS_A_VIDEO] * len(ids),
        "words": draw.timed_words(words, len(ids)),
        "events": ["[]"] * len(ids),
        "alignment_confidence": np.ones(len(ids)),
        "minhash": draw.signatures(len(ids)),
    }
    return filled(TRANSCRIPTS, len(ids), columns)


def clips_table(draw: Draw, ids: list[str], categories: list[int]) -> pa.Table:
    n = len(ids) * CLIPS_A_VIDEO
    words = draw.words(n * WORDS_A_CLIP)
    at_word = np.arange(CLIPS_A_VIDEO, dtype=np.int32) * round(WORDS_A_CLIP * (1 + SPOKEN_OUTSIDE))
    number = np.tile(np.arange(CLIPS_A_VIDEO, dtype=np.int32), len(ids))
    start = number.astype(np.int64) * round(CLIP_MS * (1 + SPOKEN_OUTSIDE))
    video = np.repeat(np.array(ids, object), CLIPS_A_VIDEO).tolist()
    columns = {
        "clip_id": [f"{v}.{k}" for v, k in zip(video, number.tolist(), strict=True)],
        "video_id": video,
        "n": number,
        "start_ms": start,
        "end_ms": start + CLIP_MS,
        "text": pc.binary_join(pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * WORDS_A_CLIP, words), " "),
        "first_word": np.tile(at_word, len(ids)),
        "n_words": np.full(n, WORDS_A_CLIP),
        "category_id": np.repeat(np.array(categories, np.int32), CLIPS_A_VIDEO),
        "confidence": np.ones(n),
        "language": ["en"] * n,
        "caption_kind": ["auto"] * n,
        "boundary_model": ["net-1"] * n,
        "flags": ["[]"] * n,
    }
    return filled(CLIPS, n, columns)


def packs_table(draw: Draw, clips: pa.Table, channel: list[str]) -> pa.Table:
    n = clips.num_rows
    failed = draw.rng.random(n) < FAILED_CLIPS
    video, number = clips.column("video_id").to_pylist(), clips.column("n").to_pylist()
    members = json.dumps({"mp4": [512, 812_345], "txt": [813_568, 180], "json": [814_592, 6_021], "m4v": [821_248, 99]})
    columns = {
        **{name: clips.column(name).combine_chunks() for name in ("clip_id", "video_id", "n", "start_ms", "end_ms")},
        **{name: clips.column(name).combine_chunks() for name in ("category_id", "text")},
        "key": [sample_key(v, k) for v, k in zip(video, number, strict=True)],
        "status": np.where(failed, "failed", "success").tolist(),
        "reason": np.where(failed, Reason.SILENT.value, "").tolist(),
        "channel_id": np.repeat(np.array(channel, object), CLIPS_A_VIDEO).tolist(),
        "duration_ms": np.full(n, CLIP_MS),
        "width": np.full(n, 1280),
        "height": np.full(n, 720),
        "fps": np.full(n, 30.0),
        "codec": ["h264"] * n,
        "pack": np.where(failed, "", [f"packs/{v}.tar" for v in video]).tolist(),
        "pack_offset": np.where(failed, -1, np.array(number) * 1_000_000),
        "pack_bytes": np.where(failed, 0, 1_000_000),
        "members": np.where(failed, "{}", members).tolist(),
        "phashes": draw.pictures(n // CLIPS_A_VIDEO, CLIPS_A_VIDEO),
        "motion": draw.rng.random(n).round(3),
        "flags": ["[]"] * n,
    }
    return filled(PACKS, n, columns)


def rejects_table(stage: str, ids: Sequence[str], reason: Reason, clip: str = "") -> pa.Table:
    n = len(ids)
    columns = {
        "stage": [stage] * n,
        "video_id": list(ids),
        "clip_id": [f"{i}{clip}{k}" if clip else "" for k, i in enumerate(ids)],
        "reason": [reason.value] * n,
        "class": [reason.class_.value] * n,
        "detail": ["as the bench asked"] * n,
        "attempts": [1] * n,
        "at": [LONG_AGO] * n,
    }
    return filled(REJECTS, n, columns)

"""Rows of tables for tests, benches and drawn sets, of which only what differs is given, and commits of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import pyarrow as pa

from manifests.rows import ClipRow, TranscriptRow, VideoRow, WordRow
from pipeline.engine.store.store import Store

Rows: TypeAlias = Sequence[Mapping[str, Any]] | pa.Table


def commit_rows(
    store: Store, stage: str, unit: str, tables: Mapping[str, Rows], rejects: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Writes what a unit made of some tables, and its rejects, and commits it."""
    parts = {table: store.write_part(table, stage, unit, rows) for table, rows in tables.items()}
    if rejects:
        parts[f"rejects/{stage}"] = store.write_rejects(stage, unit, rejects)
    n_rejects = dict(Counter(row["reason"] for row in rejects))
    store.commit(stage, unit, {"rows": {t: len(r) for t, r in tables.items()}, "rejects": n_rejects, "parts": parts})


def a_video_row(video_id: str, **changes: Any) -> VideoRow:
    """Makes a row of VIDEOS."""
    row: VideoRow = {
        "video_id": video_id,
        "url": f"https://www.youtube.com/watch?v={video_id}",
        "source": "folder",
        "query": "",
        "category_id": 1,
        "category": "Film & Animation",
        "title": f"Film {video_id}",
        "channel_id": "channel",
        "channel": "A channel",
        "duration_s": 60.0,
        "language": "en",
        "upload_date": "20240102",
        "license": "",
        "view_count": 10,
        "age_limit": 0,
        "made_for_kids": False,
        "heights": [720],
        "caption_tracks": ["manual:en"],
        "audio_format": "",
        "audio_bytes": -1,
        "media_path": "",
        "media_bytes": -1,
        "media_hash": "",
        "media_stamp": "",
        "given_spans": "",
        "egress": "",
        "yt_dlp_version": "",
        "round": 0,
        "flags": "[]",
        "extra": "",
        "about": [],
    }
    return cast(VideoRow, {**row, **changes})


def a_clip_row(video_id: str, n: int, start_ms: int, end_ms: int, **changes: Any) -> ClipRow:
    """Makes a row of CLIPS, of a clip that came with its text (see `with_transcript`)."""
    row: ClipRow = {
        "clip_id": f"{video_id}.{n}",
        "video_id": video_id,
        "n": n,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "text": f"these are the words of clip {n}",
        "first_word": 0,
        "n_words": 0,
        "category_id": 1,
        "confidence": 1.0,
        "language": "en",
        "caption_kind": "manual",
        "boundary_model": "punctuation",
        "flags": "[]",
    }
    return cast(ClipRow, {**row, **changes})


def with_transcript(clips: Sequence[ClipRow]) -> tuple[TranscriptRow, list[ClipRow]]:
    """The transcript of one video's clips, the words of each spread evenly over its span; and the clips that name them.

    The unit of `clips` must be named over that of `transcripts` (`name_over`).
    """
    words: list[WordRow] = []
    named: list[ClipRow] = []
    for clip in clips:
        texts = clip["text"].split()
        named.append({**clip, "first_word": len(words), "n_words": len(texts)})
        step = max(1, (clip["end_ms"] - clip["start_ms"]) // len(texts))
        starts = (clip["start_ms"] + i * step for i in range(len(texts)))
        words += [
            {"text": text, "start_ms": start, "end_ms": start + step, "timed": True}
            for text, start in zip(texts, starts, strict=True)
        ]
    row: TranscriptRow = {
        "video_id": clips[0]["video_id"],
        "kind": "manual",
        "language": "en",
        "format": "json3",
        "track": "en",
        "punctuated": True,
        "word_timed": True,
        "n_words": len(words),
        "words": words,
        "events": "[]",
        "alignment_confidence": 1.0,
        "minhash": b"",
    }
    return row, named

"""Rows of the tables `videos` and `clips` for tests, benches and drawn sets; only the differing fields are given."""

from __future__ import annotations

from typing import Any, cast

from manifests.rows import ClipRow, VideoRow


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
        "media_path": "",
        "given_spans": "",
        "egress": "",
        "yt_dlp_version": "",
        "round": 0,
        "extra": "",
    }
    return cast(VideoRow, {**row, **changes})


def a_clip_row(video_id: str, n: int, start_ms: int, end_ms: int, **changes: Any) -> ClipRow:
    """Makes a row of CLIPS whose words are spread evenly over the span."""
    words = f"these are the words of clip {n}".split()
    step = max(1, (end_ms - start_ms) // len(words))
    row: ClipRow = {
        "clip_id": f"{video_id}.{n}",
        "video_id": video_id,
        "n": n,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "text": " ".join(words),
        "words": [
            {"text": w, "start_ms": start_ms + i * step, "end_ms": start_ms + (i + 1) * step, "timed": True}
            for i, w in enumerate(words)
        ],
        "category_id": 1,
        "confidence": 1.0,
        "language": "en",
        "caption_kind": "manual",
        "boundary_model": "punctuation",
        "flags": "[]",
    }
    return cast(ClipRow, {**row, **changes})

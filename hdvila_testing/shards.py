"""Small data sets for tests, made by the real code: packs, a selection, shards, a manifest.

The clips are some frames of a tiny film; everything else is as a run leaves it.

    store = Store(str(tmp_path))
    commit_video(store, "aaaaaaaaaaa", n_clips=3)         # a pack, its rows, its row in `videos`
    select(store)                                         # selection.parquet: everything that was made
    manifest = make_shards(store)                         # the stage, run by the local executor, and the manifest
"""

import io
import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from hdvila_testing.rows import a_video_row, commit_rows
from manifests.categories import category_name, load_categories
from manifests.funnel import SELECTION_NAME
from manifests.lock import RunLock
from manifests.rows import PackRow, VideoRow
from manifests.sample import DEFAULT_MEMBERS, SampleJson, clip_id, sample_key
from manifests.schema import SELECTION, table_of
from manifests.shards import Manifest
from pipeline.config.shards import CardConfig, ShardsConfig
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.unit import content_name
from pipeline.media.packs import Sample, write_pack
from pipeline.shards.manifest import write_manifest
from pipeline.shards.stage import ShardsStage

WIDTH, HEIGHT, FPS = 320, 180, 12
N_BEFORE, N_FRAMES = 4, 8
"""Frames of the tiny film before the clip begins, and frames of the clip."""
DURATION_MS = 1000 * N_FRAMES // FPS
SPACING_MS = 2000

NO_CARD = CardConfig(title="A tiny data set")


@lru_cache
def tiny_film(n_frames: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """An mp4 of a moving ramp, with a keyframe at its start only."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "ultrafast", "g": "250"}
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(_picture(index, width, height), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@lru_cache
def tiny_stills(times_ms: tuple[int, ...]) -> tuple[bytes, str]:
    """(KEY.mjpg, the json's `stills`) with one JPEG per time."""
    data, entries = b"", []
    for index, time_ms in enumerate(times_ms):
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        encoder.time_base = Fraction(1, FPS)
        frame = av.VideoFrame.from_ndarray(_picture(index, WIDTH, HEIGHT), format="rgb24")
        jpeg = b"".join(bytes(p) for p in [*encoder.encode(frame.reformat(format="yuvj420p")), *encoder.encode(None)])
        entries.append({"frame": time_ms * FPS // 1000, "time_ms": time_ms, "offset": len(data), "size": len(jpeg)})
        data += jpeg
    return data, json.dumps(entries)


def _picture(index: int, width: int, height: int) -> np.ndarray:
    ramp = (np.arange(width)[None, :, None] * 2 + np.arange(height)[:, None, None] + 9 * index) % 256
    return np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)


def tiny_members(
    video_id: str,
    n: int,
    *,
    category_id: int,
    channel_id: str,
    members: Collection[str] = DEFAULT_MEMBERS,
    **changes: Any,
) -> dict[str, bytes]:
    """The members of a sample; `changes` are fields of its json."""
    text = f"this is sentence {n} of video {video_id}"
    stills, index = tiny_stills(tuple(range(0, DURATION_MS, DURATION_MS // 3))[:4])
    facts = {
        **_json_fields(video_id, n, text, category_id, channel_id),
        "proxy_width": WIDTH if "m4v" in members else 0,
        "proxy_height": HEIGHT if "m4v" in members else 0,
        "stills": index if "mjpg" in members else "[]",
        "stills_width": WIDTH if "mjpg" in members else 0,
        "stills_height": HEIGHT if "mjpg" in members else 0,
        **changes,
    }
    made = {
        "mp4": tiny_film(N_BEFORE + N_FRAMES),
        "txt": str(facts["text"]).encode(),
        "json": SampleJson(**facts).model_dump_json().encode(),
        "m4v": tiny_film(N_FRAMES),
        "mjpg": stills,
    }
    return {extension: made[extension] for extension in DEFAULT_MEMBERS if extension in members}


def _json_fields(video_id: str, n: int, text: str, category_id: int, channel_id: str) -> dict[str, Any]:
    start_ms = n * SPACING_MS
    words = text.split()
    step = DURATION_MS // len(words)
    timed = [{"text": w, "start_ms": i * step, "end_ms": (i + 1) * step, "timed": True} for i, w in enumerate(words)]
    return {
        "clip_id": clip_id(video_id, n),
        "video_id": video_id,
        "url": _url(video_id),
        "category_id": category_id,
        "category": category_name(category_id),
        "channel_id": channel_id,
        "title": f"Video {video_id}",
        "license": "",
        "upload_date": "20240101",
        "language": "en",
        "caption_kind": "manual",
        "boundary_model": "punctuation",
        "text": text,
        "start_ms": start_ms,
        "end_ms": start_ms + DURATION_MS,
        "planned_start_ms": start_ms,
        "planned_end_ms": start_ms + DURATION_MS,
        "offset_ms": 1000 * N_BEFORE // FPS,
        "duration_ms": DURATION_MS,
        "first_frame": N_BEFORE,
        "n_frames": N_FRAMES,
        "cut_mode": "remux",
        "width": WIDTH,
        "height": HEIGHT,
        "fps": float(FPS),
        "codec": "h264",
        "rotation": 0,
        "has_audio": False,
        "words": json.dumps(timed),
        "scene_cuts": "[]",
        "scene_spans": "[]",
        "flags": "[]",
        "motion": 1.0,
        "alignment_confidence": 1.0,
        "versions": "{}",
    }


def _url(video_id: str) -> str:
    return f"https://www.youtube.com/watch?v={video_id}"


def commit_video(
    store: Store,
    video_id: str,
    *,
    n_clips: int = 3,
    channel_id: str = "",
    category_id: int = 27,
    failed: Mapping[int, str] | None = None,
    members: Collection[str] = DEFAULT_MEMBERS,
    licence: str = "",
) -> None:
    """Commits what the crawl and the media stage leave of a video. `failed`: reason code by clip number."""
    channel_id = channel_id or f"UC-{video_id}"
    failed = failed or {}
    numbers = [n for n in range(n_clips) if n not in failed]
    samples = [
        Sample(
            sample_key(video_id, n),
            tiny_members(video_id, n, category_id=category_id, channel_id=channel_id, members=members, license=licence),
        )
        for n in numbers
    ]
    with tempfile.TemporaryDirectory() as folder:
        packed = {p.key: p for p in write_pack(Path(folder) / "pack.tar", samples)}
        store.put(Path(folder) / "pack.tar", f"packs/{video_id}.tar")
    rows = []
    for n in range(n_clips):
        row = _pack_row(video_id, n, channel_id, category_id, failed.get(n, ""))
        if sample := packed.get(row["key"]):
            members_at = json.dumps({e: list(at) for e, at in sample.members.items()})
            row |= {"pack_offset": sample.offset, "pack_bytes": sample.bytes_, "pack_crc": sample.crc}
            row |= {"members": members_at}
        rows.append(row)
    commit_rows(store, "media", video_id, {"packs": rows})
    unit = content_name([video_id])
    commit_rows(store, "extract", unit, {"videos": [_video_row(video_id, channel_id, category_id)]})


def _pack_row(video_id: str, n: int, channel_id: str, category_id: int, reason: str) -> PackRow:
    fields = _json_fields(video_id, n, f"this is sentence {n} of video {video_id}", category_id, channel_id)
    same = ("clip_id", "video_id", "category_id", "channel_id", "start_ms", "end_ms", "duration_ms", "text", "width")
    row = {
        **{name: fields[name] for name in (*same, "height", "fps", "codec", "motion", "flags")},
        "key": sample_key(video_id, n),
        "n": n,
        "status": "failed" if reason else "success",
        "reason": reason,
        "error_message": "as the test asked" if reason else "",
        "pack": f"packs/{video_id}.tar",
        "pack_offset": 0,
        "pack_bytes": 0,
        "pack_crc": -1,
        "members": "{}",
        "phashes": b"",
    }
    return cast(PackRow, row)


def _video_row(video_id: str, channel_id: str, category_id: int) -> VideoRow:
    return a_video_row(
        video_id,
        url=_url(video_id),
        source="ids",
        category_id=category_id,
        category=category_name(category_id),
        title=f"Video {video_id}",
        channel_id=channel_id,
        channel=channel_id,
        upload_date="20240101",
        view_count=1,
    )


def select(
    store: Store,
    kept: Mapping[str, Collection[int]] | None = None,
    *,
    reasons: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
) -> None:
    """Writes selection.parquet: the clips in `kept`, by default all that were made.

    `reasons`: by video id, why it was left out (over_quota); `groups`: by video id, the first video that it repeats.
    """
    packs = store.read_table("packs", ["video_id", "channel_id", "category_id", "n", "status"]).to_pylist()
    rows = []
    for rank, video_id in enumerate(dict.fromkeys(row["video_id"] for row in packs)):
        of_video = [row for row in packs if row["video_id"] == video_id]
        made = [row["n"] for row in of_video if row["status"] == "success"]
        taken = made if kept is None else sorted(kept.get(video_id, ()))
        rows.append(
            {
                "video_id": video_id,
                "category_id": of_video[0]["category_id"],
                "channel_id": of_video[0]["channel_id"],
                "group": (groups or {}).get(video_id, video_id),
                "rank": rank,
                "kept": bool(taken),
                "reason": "" if taken else (reasons or {}).get(video_id, "over_quota"),
                "n_clips": len(made),
                "clips_kept": taken,
                "hours_kept": len(taken) * DURATION_MS / 3_600_000,
            }
        )
    store.write_table(SELECTION_NAME, table_of(rows, SELECTION))


def make_shards(store: Store, config: ShardsConfig | None = None, *, seed: int = 0) -> Manifest:
    """Runs the shards stage to its end and writes the manifest."""
    config = config or ShardsConfig(card=NO_CARD)
    with tempfile.TemporaryDirectory() as scratch, RunLock(store) as lock:
        run_stage(ShardsStage(config, seed), store, LocalExecutor(Path(scratch)), lock)
        return write_manifest(
            store,
            name="tiny",
            config={"shards.split.by": "video"} if config.split.by == "video" else {},
            card=config.card,
            created_at="2026-01-01T00:00:00+00:00",
        )


def a_data_set(
    url: str | Path,
    *,
    n_videos: int = 8,
    n_clips: int = 3,
    videos_a_channel: int = 1,
    config: ShardsConfig | None = None,
    members: Collection[str] = DEFAULT_MEMBERS,
    prefix: str = "video",
    licences: Sequence[str] = ("",),
) -> Store:
    """Makes a whole data set over the 15 categories, and the licences, in turn; every third video has a failed clip."""
    store = Store(str(url))
    categories = load_categories()
    for i in range(n_videos):
        commit_video(
            store,
            f"{prefix}-{i:05d}",
            n_clips=n_clips,
            channel_id=f"UC-{prefix}-{i // videos_a_channel}",
            category_id=categories[i % len(categories)].id,
            failed={n_clips - 1: "silent"} if i % 3 == 2 else None,
            members=members,
            licence=licences[i % len(licences)],
        )
    select(store)
    make_shards(store, config)
    return store

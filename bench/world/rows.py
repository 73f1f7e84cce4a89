"""The rows that a world's units write, whole columns at a time.

Narrow rows have all columns that the driver reads, and short texts in the others. Wide ones also have words, captions,
sentences, signatures and picture hashes, as long as real ones.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.world.videos import Videos, World, fixed_texts
from manifests.clip_status import ClipStatus
from manifests.hashing import UInt64, splitmix64
from manifests.reasons import Reason, ReasonClass
from manifests.schema import REJECTS, SHARD_ROWS, TABLES
from pipeline.crawl.sources import Ask
from pipeline.shards.clips import PlanVideos

LONG_AGO = "2026-01-01T00:00:00+00:00"
"""When everything is rejected, and when what was refused is due again: at once."""
MEMBERS = {"mp4": [512, 3_000_000], "txt": [3_001_344, 180], "json": [3_002_368, 6_021], "m4v": [3_009_024, 200_000]}
REFUSED = (Reason.NO_CAPTIONS, Reason.NO_720P, Reason.WRONG_LANGUAGE, Reason.UNAVAILABLE, Reason.TOO_SHORT)
"""Why candidates are rejected, equally often."""
_KEPT = 1 << 12
"""Rows of a constant column that are kept."""


@lru_cache(128)  # a source of the crawl has a name of its own
def _column(value: Any, kind: pa.DataType) -> pa.Array:
    return pa.array([list(value) if isinstance(value, tuple) else value] * _KEPT, kind)


def constant(value: Any, kind: pa.DataType, n: int) -> pa.Array:
    """[n] the same value; a list is given as a tuple."""
    if n <= _KEPT:
        return _column(value, kind).slice(0, n)
    return pa.array([list(value) if isinstance(value, tuple) else value] * n, kind)


def _unknown(kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return ""
    if pa.types.is_binary(kind):
        return b""
    return () if pa.types.is_list(kind) else False if pa.types.is_boolean(kind) else 0


def filled(schema: pa.Schema, n: int, columns: Mapping[str, Any]) -> pa.Table:
    """A table of n rows: arrays, numpy columns or one value for all rows; what is not given is "unknown"."""

    def column(field: pa.Field) -> pa.Array:
        given = columns.get(field.name, _unknown(field.type))
        if isinstance(given, pa.Array):
            return given if given.type == field.type else given.cast(field.type)
        if isinstance(given, np.ndarray):
            return pa.array(given, field.type)
        return constant(given, field.type, n)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


def _repeated(values: pa.Array, counts: NDArray[np.int64]) -> pa.Array:
    return values.take(pa.array(np.repeat(np.arange(len(values)), counts)))


def _channel_ids(channel: NDArray[np.int64]) -> pa.Array:
    """[N] `UC` and the channel's number in 22 digits."""
    digits = (channel[:, None] // 10 ** np.arange(11, -1, -1, dtype=np.int64)) % 10
    letters = np.full((len(channel), 24), ord("0"), np.uint8)
    letters[:, 12:] += digits.astype(np.uint8)
    letters[:, :2] = np.frombuffer(b"UC", np.uint8)
    return fixed_texts(letters)


def _after(prefix: str, ids: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(prefix, ids, "")


# the crawl


def listings(world: World, hashes: UInt64, ask: Ask, round_: int) -> dict[str, pa.Table]:
    """What a listing gives: its results, and a row on the source."""
    found = world.videos(hashes)
    asked = {
        "source": ask.source,
        "query": ask.query,
        "wanted_category_id": ask.wanted_category_id,
        "round": round_,
    }
    results = {
        **asked,
        "video_id": found.ids,
        "position": np.arange(len(found)),
        "title": "a title of some words",
        "channel_id": _channel_ids(found.channel),
        "view_count": 1000,
    }
    of_source = {**asked, "up_to": ask.up_to, "n_listed": len(found), "exhausted": len(found) < ask.up_to}
    return {
        "listings": filled(TABLES["listings"], len(found), results),
        "sources": filled(TABLES["sources"], 1, of_source),
    }


def videos(found: Videos, round_: int) -> pa.Table:
    """Rows of `videos`."""
    columns = {
        "video_id": found.ids,
        "url": _after("https://www.youtube.com/watch?v=", found.ids),
        "source": "search",
        "query": pc.binary_join_element_wise("words of", pa.array(found.category_id).cast(pa.string()), " "),
        "category_id": found.category_id,
        "category": "a category",
        "title": "a title of some words",
        "channel_id": _channel_ids(found.channel),
        "channel": "a channel",
        "duration_s": found.length_s,
        "language": "en",
        "upload_date": "20240102",
        "view_count": 1000,
        "heights": (360, 480, 720, 1080),
        "caption_tracks": ("manual:en", "auto:en"),
        "audio_format": "140",
        "audio_bytes": -1,
        "media_bytes": -1,
        "egress": "direct",
        "yt_dlp_version": "2026.11.1",
        "round": round_,
    }
    return filled(TABLES["videos"], len(found), columns)


def captions(found: Videos, payload: pa.Array | None) -> pa.Table:
    """Rows of `captions`, one automatic track each."""
    columns = {"video_id": found.ids, "kind": "auto", "language": "en", "track": "en", "format": "json3"}
    more = {} if payload is None else {"payload": payload}
    return filled(TABLES["captions"], len(found), {**columns, **more})


def rejects(
    stage: str, ids: pa.Array, reasons: Sequence[Reason], attempt: int = 1, clip_ids: pa.Array | str = ""
) -> pa.Table:
    """Rows of rejects, of videos or clips. What is refused only for now is due at once."""
    later = [reason.class_ is ReasonClass.LATER for reason in reasons]
    columns = {
        "stage": stage,
        "video_id": ids,
        "clip_id": clip_ids,
        "reason": pa.array([reason.value for reason in reasons]),
        "class": pa.array([reason.class_.value for reason in reasons]),
        "detail": "as the bench asked",
        "attempts": attempt,
        "at": LONG_AGO,
        "next_try_at": pa.array([LONG_AGO if is_later else "" for is_later in later]),
        "node": "worker",
    }
    return filled(REJECTS, len(ids), columns)


# text


def transcripts(found: Videos, wide: Mapping[str, pa.Array]) -> pa.Table:
    """Rows of `transcripts`; `wide`: the columns of words and signatures."""
    columns = {"video_id": found.ids, "kind": "auto", "language": "en", "format": "json3", "track": "en"}
    more = {"n_words": found.n_clips * 43, "events": "[]", "alignment_confidence": 1.0, "word_timed": True}
    return filled(TABLES["transcripts"], len(found), {**columns, **more, **wide})


def clips(world: World, found: Videos, texts: pa.Array | None) -> pa.Table:
    """Rows of `clips`: all that the filters kept."""
    number = numbers(found.n_clips)
    ids = _repeated(found.ids, found.n_clips)
    start = number * round(world.distribution.clip_ms / world.distribution.spoken)
    columns = {
        "clip_id": clip_ids(ids, number),
        "video_id": ids,
        "n": number.astype(np.int32),
        "start_ms": start,
        "end_ms": start + world.distribution.clip_ms,
        "text": "a sentence" if texts is None else texts,
        "first_word": (number * 43).astype(np.int32),
        "n_words": 33,
        "category_id": np.repeat(found.category_id, found.n_clips),
        "confidence": 1.0,
        "language": "en",
        "caption_kind": "auto",
        "boundary_model": "net-1",
        "flags": "[]",
    }
    return filled(TABLES["clips"], len(number), columns)


def numbers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers from 0 on of each video's clips, one video after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.int64) - np.repeat(ends - counts, counts)


def clip_ids(ids: pa.Array, number: NDArray[np.int64]) -> pa.Array:
    """[C] ids of clips."""
    return pc.binary_join_element_wise(ids, _digits(number, 0), ".")


@cache
def _all_digits(width: int) -> pa.Array:
    return pa.array([f"{n:0{width}d}" for n in range(1 << 13)])


def _digits(number: NDArray[np.int64], width: int) -> pa.Array:
    return _all_digits(width).take(pa.array(number))


# media and shards


def is_cut(world: World, found: Videos) -> NDArray[np.bool_]:
    """[C] whether each clip's video could be cut."""
    of_clip = splitmix64(np.repeat(found.hashes, found.n_clips) + numbers(found.n_clips).astype(np.uint64))
    return np.asarray(world.draw(of_clip, "cut") >= world.distribution.failed_clips)


def packs(world: World, found: Videos, texts: pa.Array | None, phashes: pa.Array | None) -> pa.Table:
    """Rows of `packs`: a row for each clip that was tried."""
    number, cut = numbers(found.n_clips), pa.array(is_cut(world, found))
    ids = _repeated(found.ids, found.n_clips)
    of, n = world.distribution, len(number)
    start = number * round(of.clip_ms / of.spoken)
    success, failed = ClipStatus.SUCCESS.value, ClipStatus.FAILED.value
    columns: dict[str, Any] = {
        "key": pc.binary_join_element_wise(ids, _digits(number, 5), "_"),
        "clip_id": clip_ids(ids, number),
        "video_id": ids,
        "n": number.astype(np.int32),
        "status": pc.if_else(cut, success, failed),
        "reason": pc.if_else(cut, "", Reason.SILENT.value),
        "category_id": np.repeat(found.category_id, found.n_clips),
        "channel_id": _repeated(_channel_ids(found.channel), found.n_clips),
        "start_ms": start,
        "end_ms": start + of.clip_ms,
        "duration_ms": of.clip_ms,
        "text": "a sentence" if texts is None else texts,
        "width": 1280,
        "height": 720,
        "fps": 30.0,
        "codec": "h264",
        "pack": pc.if_else(cut, pc.binary_join_element_wise("packs/", ids, ".tar", ""), ""),
        "pack_offset": pc.if_else(cut, pa.array(number * of.clip_bytes), -1),
        "pack_bytes": pc.if_else(cut, pa.scalar(of.clip_bytes, pa.int64()), 0),
        "pack_crc": -1,
        "members": pc.if_else(cut, json.dumps(MEMBERS), "{}"),
        "motion": 0.5,
        "flags": "[]",
    }
    more = {} if phashes is None else {"phashes": phashes}
    return filled(TABLES["packs"], n, {**columns, **more})


def shard_rows(world: World, content: PlanVideos) -> pa.Table:
    """The rows of a shard with this content."""
    found = world.of_ids(content.video_id.to_pylist())
    number, made = content.n.astype(np.int64), pa.array(content.is_sample())
    ids = _repeated(found.ids, content.counts())
    start = number * round(world.distribution.clip_ms / world.distribution.spoken)
    success, failed = ClipStatus.SUCCESS.in_shards, ClipStatus.FAILED.in_shards
    columns = {
        "key": pc.binary_join_element_wise(ids, _digits(number, 5), "_"),
        "url": _after("https://www.youtube.com/watch?v=", ids),
        "caption": "a sentence",
        "clips": "[[0, 13400]]",
        "status": pc.if_else(made, success, failed),
        "reason": pc.if_else(made, "", Reason.SILENT.value),
        "clip_id": clip_ids(ids, number),
        "video_id": ids,
        "channel_id": _repeated(_channel_ids(found.channel), content.counts()),
        "category_id": np.repeat(found.category_id, content.counts()),
        "start_ms": start,
        "end_ms": start + world.distribution.clip_ms,
        "duration_ms": world.distribution.clip_ms,
        "width": 1280,
        "height": 720,
        "fps": 30.0,
        "codec": "h264",
        "members": pc.if_else(made, json.dumps(MEMBERS), "{}"),
    }
    return filled(SHARD_ROWS, len(number), columns)

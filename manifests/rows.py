"""The type of a row of each table, made by `python -m manifests.typed_rows`: change the schema, not this.

For code inside a unit, which handles rows one at a time. What works on a whole data set stays on Arrow columns.
"""

from typing import TypedDict


class WordRow(TypedDict):
    text: str
    start_ms: int
    end_ms: int
    timed: bool


class ListingRow(TypedDict):
    video_id: str
    source: str
    query: str
    wanted_category_id: int
    position: int
    title: str
    channel_id: str
    duration_s: float
    view_count: int
    live_status: str
    availability: str
    starts_at: int
    given_spans: str
    round: int


class SourceRow(TypedDict):
    source: str
    query: str
    wanted_category_id: int
    up_to: int
    n_listed: int
    cursor: int
    exhausted: bool
    reason: str
    detail: str
    round: int


class CandidateRow(TypedDict):
    video_id: str
    source: str
    query: str
    wanted_category_id: int
    asked: bool
    attempt: int
    given_spans: str
    round: int


class VideoRow(TypedDict):
    video_id: str
    url: str
    source: str
    query: str
    category_id: int
    category: str
    title: str
    channel_id: str
    channel: str
    duration_s: float
    language: str
    upload_date: str
    license: str
    view_count: int
    age_limit: int
    made_for_kids: bool
    heights: list[int]
    caption_tracks: list[str]
    audio_format: str
    audio_bytes: int
    media_path: str
    media_bytes: int
    media_hash: str
    media_stamp: str
    given_spans: str
    egress: str
    yt_dlp_version: str
    round: int
    flags: str
    extra: str
    about: list[str]


class CaptionRow(TypedDict):
    video_id: str
    kind: str
    language: str
    track: str
    format: str
    payload: bytes


class TranscriptRow(TypedDict):
    video_id: str
    kind: str
    language: str
    format: str
    track: str
    punctuated: bool
    word_timed: bool
    n_words: int
    words: list[WordRow]
    events: str
    alignment_confidence: float
    minhash: bytes


class ClipRow(TypedDict):
    clip_id: str
    video_id: str
    n: int
    start_ms: int
    end_ms: int
    text: str
    first_word: int
    n_words: int
    category_id: int
    confidence: float
    language: str
    caption_kind: str
    boundary_model: str
    flags: str


class HeardRow(TypedDict):
    video_id: str
    heard_by: str
    language: str
    words: list[WordRow]


class PackRow(TypedDict):
    key: str
    clip_id: str
    video_id: str
    n: int
    status: str
    reason: str
    error_message: str
    category_id: int
    channel_id: str
    start_ms: int
    end_ms: int
    duration_ms: int
    text: str
    width: int
    height: int
    fps: float
    codec: str
    pack: str
    pack_offset: int
    pack_bytes: int
    pack_crc: int
    members: str
    phashes: bytes
    motion: float
    flags: str


class StillRow(TypedDict):
    video_id: str
    n: int
    bytes: int
    clip_id: str
    still: bytes


class ComparedRow(TypedDict):
    kind: str
    batch: int
    video_id: str


class MatchRow(TypedDict):
    what: str
    video_id: str
    n: int
    channel_id: str
    other_video_id: str
    other_n: int
    other_channel_id: str


class SelectionRow(TypedDict):
    video_id: str
    category_id: int
    channel_id: str
    group: str
    rank: int
    kept: bool
    reason: str
    n_clips: int
    clips_kept: list[int]
    hours_kept: float


RejectRow = TypedDict(
    "RejectRow",
    {
        "stage": str,
        "video_id": str,
        "clip_id": str,
        "reason": str,
        "class": str,
        "detail": str,
        "attempts": int,
        "at": str,
        "next_try_at": str,
        "node": str,
    },
)


class ShardRow(TypedDict):
    key: str
    url: str
    caption: str
    clips: str
    status: str
    error_message: str
    reason: str
    clip_id: str
    video_id: str
    channel_id: str
    category_id: int
    start_ms: int
    end_ms: int
    duration_ms: int
    width: int
    height: int
    fps: float
    codec: str
    members: str
    language: str
    caption_kind: str
    boundary_model: str
    alignment_confidence: float
    motion: float
    blur: float
    text_share: float
    overlay_share: float
    blockiness: float
    entropy: float
    speech_share: float
    heard: float
    flags: str


class ManifestRow(TypedDict):
    url: str
    split: str
    generation: int
    sha256: str
    md5: str
    bytes: int
    nsamples: int
    hours: float
    categories: str

"""The row of each table: its columns with their types and units. Arrow's schemas are made of these (`schema.py`).

Code inside a unit handles rows one at a time. What works on a whole data set stays on Arrow columns.
"""

from typing import Annotated, TypedDict

Int32 = Annotated[int, "int32"]
"""A number of 32 bits. Arrow itself isn't imported: who cuts clips alone has no use for it, and it takes long."""


class WordRow(TypedDict):
    text: str
    start_ms: int
    end_ms: int
    timed: bool  # False: interpolated, the track had no time for this word


class ListingRow(TypedDict):
    video_id: str
    source: str  # search | grown | channel | playlist | lists | folder
    query: str  # the words, number (grown), channel id, playlist id or file that listed it
    wanted_category_id: Int32  # -1: any
    position: int  # in the listing, from 0
    title: str
    channel_id: str
    duration_s: float
    view_count: int
    live_status: str
    availability: str
    starts_at: int  # of a premiere or stream, seconds since 1970; 0: not said
    given_spans: str  # lists source: JSON list of {n, start_ms, end_ms, text}; otherwise ""
    round: Int32


class SourceRow(TypedDict):
    source: str
    query: str
    wanted_category_id: Int32
    up_to: int  # how many results were requested
    n_listed: int  # results that came, counted from the first
    cursor: int  # files: the byte offset where the next listing begins; otherwise 0
    exhausted: bool  # there are no more results
    reason: str  # "" or why the listing ended early
    detail: str
    round: Int32


class CandidateRow(TypedDict):
    video_id: str
    source: str
    query: str
    wanted_category_id: Int32
    asked: bool  # False: rejected by its listing alone; the reason is among the rejects
    attempt: Int32  # 1, or more if a video is tried again
    given_spans: str
    round: Int32


class VideoRow(TypedDict):
    video_id: str
    url: str
    source: str
    query: str
    category_id: Int32  # -1: uncategorised
    category: str
    title: str
    channel_id: str
    channel: str
    duration_s: float
    language: str
    upload_date: str  # YYYYMMDD
    license: str
    view_count: int
    age_limit: Int32
    made_for_kids: bool
    heights: list[Int32]  # short sides on offer, ascending
    caption_tracks: list[str]  # "manual:en", "auto:en-orig"
    audio_format: str  # yt-dlp's id of the audio to fetch; "" if it is within the video's file
    audio_bytes: int  # its size as the site says, by which an edited film shows; -1: unknown
    media_path: str  # folder source: the file; "" if it has to be fetched
    media_bytes: int  # of a file or address: its size when it was looked at; -1: unknown
    media_hash: str  # and the hash of its content, or head (manifests/content.py); otherwise ""
    media_stamp: str  # a file's time of change in ns; "" for anything else
    given_spans: str  # lists source: JSON list of {n, start_ms, end_ms, text}; otherwise ""
    egress: str  # name of the identity that asked (never an address or a secret)
    yt_dlp_version: str
    round: Int32
    flags: str  # JSON list of strings, of every clip: without_manual_captions
    extra: str  # urls source: JSON of the columns that are not ours; otherwise ""
    about: list[str]  # site: its tags and the titles of its chapters, for searches grown from them


class CaptionRow(TypedDict):
    video_id: str
    kind: str  # manual | auto
    language: str
    track: str  # yt-dlp's key of the track, e.g. en, en-orig, en-US
    format: str  # json3 vtt srt
    payload: bytes  # as received


class TranscriptRow(TypedDict):
    video_id: str
    kind: str  # manual | auto | manual_aligned
    language: str
    format: str
    track: str
    punctuated: bool
    word_timed: bool
    n_words: int
    words: list[WordRow]  # in source time, in the order of their starts
    events: str  # JSON list of {kind, text, start_ms, end_ms}
    alignment_confidence: float  # share of words anchored; 1.0 if no alignment was needed
    minhash: bytes  # near-duplicate text signature


class ClipRow(TypedDict):
    clip_id: str  # <video_id>.<n>
    video_id: str
    n: Int32
    start_ms: int
    end_ms: int
    text: str
    first_word: Int32  # its words are n_words of its video's in `transcripts`, from this index on
    n_words: Int32  # 0: nobody knows when they are said
    category_id: Int32
    confidence: float  # of the alignment
    language: str
    caption_kind: str
    boundary_model: str  # punctuation | linear-… | sat-… | given
    flags: str  # JSON list of strings: profanity, email, phone …


class HeardRow(TypedDict):
    video_id: str
    heard_by: str  # the recogniser: its model with its hash, device, versions
    language: str  # that it took the speech for; "" if it heard none
    words: list[WordRow]  # in source time


class PackRow(TypedDict):
    key: str  # <video_id>_<n:05d>
    clip_id: str
    video_id: str
    n: Int32
    status: str  # success | failed
    reason: str
    error_message: str
    category_id: Int32
    channel_id: str
    start_ms: int
    end_ms: int
    duration_ms: int
    text: str
    width: Int32
    height: Int32
    fps: float
    codec: str
    pack: str  # path of the tar in the output directory
    pack_offset: int  # first byte of the sample's first member header in the pack
    pack_bytes: int  # bytes of all its members with headers and padding
    pack_crc: int  # CRC-32 of these bytes; -1 if there are none
    members: str  # JSON {extension: [offset of the data from pack_offset, size]}
    phashes: bytes  # pipeline/media/phash.py: pack_hashes
    motion: float
    flags: str  # JSON list of strings


class StillRow(TypedDict):
    """Only with media.keep_rejected_stills."""

    video_id: str
    n: Int32
    bytes: int  # of `still`
    clip_id: str
    still: bytes  # a small JPEG of a clip that was tried


class ComparedRow(TypedDict):
    kind: str  # pictures | texts | sentences: what of the video is compared with all others
    batch: Int32  # videos that are compared together have the same, from 0
    video_id: str


class MatchRow(TypedDict):
    what: str  # clips | videos | texts | sentences: what is alike
    video_id: str
    n: Int32  # the clip; -1: the video as a whole
    channel_id: str  # "" for texts and sentences
    other_video_id: str  # of the one that it is like, which was compared before it
    other_n: Int32
    other_channel_id: str


class SelectionRow(TypedDict):
    video_id: str
    category_id: Int32
    channel_id: str
    group: str  # first video of those with the same pictures or words; its own id if alone
    rank: int  # in the category's seeded order, from 0
    kept: bool
    reason: str  # "" if kept
    n_clips: Int32  # clips that exist (planned ones if media was never fetched)
    clips_kept: list[Int32]  # the n of each kept clip
    hours_kept: float


RejectRow = TypedDict(
    "RejectRow",
    {
        "stage": str,
        "video_id": str,
        "clip_id": str,  # "": the whole video
        "reason": str,
        "class": str,
        "detail": str,
        "attempts": Int32,
        "at": str,  # ISO 8601, UTC
        "next_try_at": str,  # "" if never
        "node": str,  # the machine where it was rejected
    },
)


class ShardRow(TypedDict):
    key: str
    url: str
    caption: str
    clips: str  # JSON [[start_ms, end_ms]]
    status: str
    error_message: str
    reason: str
    clip_id: str
    video_id: str
    channel_id: str
    category_id: Int32
    start_ms: int
    end_ms: int
    duration_ms: int
    width: Int32
    height: Int32
    fps: float
    codec: str
    members: str  # JSON {extension: [offset of the data in this tar, size]}; "{}" if failed
    language: str  # this and what follows: as in KEY.json, for training to choose by
    caption_kind: str
    boundary_model: str
    alignment_confidence: float
    motion: float
    blur: float
    text_share: float
    entropy: float
    speech_share: float
    flags: str  # JSON list of strings


class ManifestRow(TypedDict):
    url: str  # relative to manifest.json
    split: str
    generation: Int32
    sha256: str
    md5: str
    bytes: int
    nsamples: int
    hours: float
    categories: str  # JSON {category id: samples}

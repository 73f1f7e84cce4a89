"""Every table of an output directory: its columns, their types and units.

Tables are Parquet. What a stage writes goes into `<table>/part-<stage>-<unit>-<attempt>.parquet`, one part per
committed unit; the commits (`commits/<stage>/`) name the parts that count. Both are merged into `segments/`. Times are
integer milliseconds in the source video unless a column says otherwise; hours are float64. No column is null: "" / -1 /
0.0 stand for "unknown".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

WORD = pa.struct(
    [
        ("text", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("timed", pa.bool_()),  # False: interpolated, the track had no time for this word
    ]
)

LISTINGS = pa.schema(
    [
        ("video_id", pa.string()),
        ("source", pa.string()),  # search | grown | channel | playlist | lists | folder
        ("query", pa.string()),  # the words, number (grown), channel id, playlist id or file that listed it
        ("wanted_category_id", pa.int32()),  # -1: any
        ("position", pa.int64()),  # in the listing, from 0
        ("title", pa.string()),
        ("channel_id", pa.string()),
        ("duration_s", pa.float64()),
        ("view_count", pa.int64()),
        ("live_status", pa.string()),
        ("availability", pa.string()),
        ("starts_at", pa.int64()),  # of a premiere or stream, seconds since 1970; 0: not said
        ("given_spans", pa.string()),  # lists source: JSON list of {n, start_ms, end_ms, text}; otherwise ""
        ("round", pa.int32()),
    ]
)

SOURCES = pa.schema(
    [
        ("source", pa.string()),
        ("query", pa.string()),
        ("wanted_category_id", pa.int32()),
        ("up_to", pa.int64()),  # how many results were requested
        ("n_listed", pa.int64()),  # results that came, counted from the first
        ("cursor", pa.int64()),  # files: the byte offset where the next listing begins; otherwise 0
        ("exhausted", pa.bool_()),  # there are no more results
        ("reason", pa.string()),  # "" or why the listing ended early
        ("detail", pa.string()),
        ("round", pa.int32()),
    ]
)

CANDIDATES = pa.schema(
    [
        ("video_id", pa.string()),
        ("source", pa.string()),
        ("query", pa.string()),
        ("wanted_category_id", pa.int32()),
        ("asked", pa.bool_()),  # False: rejected by its listing alone; the reason is among the rejects
        ("attempt", pa.int32()),  # 1, or more if a video is tried again
        ("given_spans", pa.string()),
        ("round", pa.int32()),
    ]
)

VIDEOS = pa.schema(
    [
        ("video_id", pa.string()),
        ("url", pa.string()),
        ("source", pa.string()),
        ("query", pa.string()),
        ("category_id", pa.int32()),  # -1: uncategorised
        ("category", pa.string()),
        ("title", pa.string()),
        ("channel_id", pa.string()),
        ("channel", pa.string()),
        ("duration_s", pa.float64()),
        ("language", pa.string()),
        ("upload_date", pa.string()),  # YYYYMMDD
        ("license", pa.string()),
        ("view_count", pa.int64()),
        ("age_limit", pa.int32()),
        ("made_for_kids", pa.bool_()),
        ("heights", pa.list_(pa.int32())),  # short sides on offer, ascending
        ("caption_tracks", pa.list_(pa.string())),  # "manual:en", "auto:en-orig"
        ("audio_format", pa.string()),  # yt-dlp's id of the audio to fetch; "" if it is within the video's file
        ("audio_bytes", pa.int64()),  # its size as the site says, by which an edited film shows; -1: unknown
        ("media_path", pa.string()),  # folder source: the file; "" if it has to be fetched
        ("media_bytes", pa.int64()),  # of a file or address: its size when it was looked at; -1: unknown
        ("media_hash", pa.string()),  # and the hash of its content, or head (manifests/content.py); otherwise ""
        ("media_stamp", pa.string()),  # a file's time of change in ns, an address's ETag or a hash of three pieces
        ("given_spans", pa.string()),  # lists source: JSON list of {n, start_ms, end_ms, text}; otherwise ""
        ("egress", pa.string()),  # name of the identity that asked (never an address or a secret)
        ("yt_dlp_version", pa.string()),
        ("round", pa.int32()),
        ("flags", pa.string()),  # JSON list of strings, of every clip: without_manual_captions
        ("extra", pa.string()),  # urls source: JSON of the columns that are not ours; otherwise ""
        ("about", pa.list_(pa.string())),  # site: its tags and the titles of its chapters, for searches grown from them
    ]
)

CAPTIONS = pa.schema(
    [
        ("video_id", pa.string()),
        ("kind", pa.string()),  # manual | auto
        ("language", pa.string()),
        ("track", pa.string()),  # yt-dlp's key of the track, e.g. en, en-orig, en-US
        ("format", pa.string()),  # json3 srv3 srv1 vtt ttml srt
        ("payload", pa.binary()),  # as received
    ]
)

TRANSCRIPTS = pa.schema(
    [
        ("video_id", pa.string()),
        ("kind", pa.string()),  # manual | auto | manual_aligned
        ("language", pa.string()),
        ("format", pa.string()),
        ("track", pa.string()),
        ("punctuated", pa.bool_()),
        ("word_timed", pa.bool_()),
        ("n_words", pa.int64()),
        ("words", pa.list_(WORD)),  # in source time, in the order of their starts
        ("events", pa.string()),  # JSON list of {kind, text, start_ms, end_ms}
        ("alignment_confidence", pa.float64()),  # share of words anchored; 1.0 if no alignment was needed
        ("minhash", pa.binary()),  # near-duplicate text signature
    ]
)

CLIPS = pa.schema(
    [
        ("clip_id", pa.string()),  # <video_id>.<n>
        ("video_id", pa.string()),
        ("n", pa.int32()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("text", pa.string()),
        ("first_word", pa.int32()),  # its words are n_words of its video's in `transcripts`, from this index on
        ("n_words", pa.int32()),  # 0: nobody knows when they are said
        ("category_id", pa.int32()),
        ("confidence", pa.float64()),  # of the alignment
        ("language", pa.string()),
        ("caption_kind", pa.string()),
        ("boundary_model", pa.string()),  # punctuation | linear-… | sat-… | given
        ("flags", pa.string()),  # JSON list of strings: profanity, email, phone …
    ]
)

HEARD = pa.schema(
    [
        ("video_id", pa.string()),
        ("heard_by", pa.string()),  # the recogniser: its model with its hash, device, versions
        ("language", pa.string()),  # that it took the speech for; "" if it heard none
        ("words", pa.list_(WORD)),  # in source time
    ]
)

PACKS = pa.schema(
    [
        ("key", pa.string()),  # <video_id>_<n:05d>
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("n", pa.int32()),
        ("status", pa.string()),  # success | failed
        ("reason", pa.string()),
        ("error_message", pa.string()),
        ("category_id", pa.int32()),
        ("channel_id", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("duration_ms", pa.int64()),
        ("text", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("codec", pa.string()),
        ("pack", pa.string()),  # path of the tar in the output directory
        ("pack_offset", pa.int64()),  # first byte of the sample's first member header in the pack
        ("pack_bytes", pa.int64()),  # bytes of all its members with headers and padding
        ("pack_crc", pa.int64()),  # CRC-32 of these bytes; -1 if there are none
        ("members", pa.string()),  # JSON {extension: [offset of the data from pack_offset, size]}
        ("phashes", pa.binary()),  # pipeline/media/phash.py: pack_hashes
        ("motion", pa.float64()),
        ("flags", pa.string()),  # JSON list of strings
    ]
)

STILLS = pa.schema(
    [
        ("video_id", pa.string()),
        ("n", pa.int32()),
        ("bytes", pa.int64()),  # of `still`
        ("clip_id", pa.string()),
        ("still", pa.binary()),  # a small JPEG of a clip that was tried
    ]
)
"""Only with media.keep_rejected_stills."""

COMPARED = pa.schema(
    [
        ("kind", pa.string()),  # pictures | texts | sentences: what of the video is compared with all others
        ("batch", pa.int32()),  # videos that are compared together have the same, from 0
        ("video_id", pa.string()),
    ]
)

MATCHES = pa.schema(
    [
        ("what", pa.string()),  # clips | videos | texts | sentences: what is alike
        ("video_id", pa.string()),
        ("n", pa.int32()),  # the clip; -1: the video as a whole
        ("channel_id", pa.string()),  # "" for texts and sentences
        ("other_video_id", pa.string()),  # of the one that it is like, which was compared before it
        ("other_n", pa.int32()),
        ("other_channel_id", pa.string()),
    ]
)

SELECTION = pa.schema(
    [
        ("video_id", pa.string()),
        ("category_id", pa.int32()),
        ("channel_id", pa.string()),
        ("group", pa.string()),  # first video of those with the same pictures or words; its own id if alone
        ("rank", pa.int64()),  # in the category's seeded order, from 0
        ("kept", pa.bool_()),
        ("reason", pa.string()),  # "" if kept
        ("n_clips", pa.int32()),  # clips that exist (planned ones if media was never fetched)
        ("clips_kept", pa.list_(pa.int32())),  # the n of each kept clip
        ("hours_kept", pa.float64()),
    ]
)

REJECTS = pa.schema(
    [
        ("stage", pa.string()),
        ("video_id", pa.string()),
        ("clip_id", pa.string()),  # "": the whole video
        ("reason", pa.string()),
        ("class", pa.string()),
        ("detail", pa.string()),
        ("attempts", pa.int32()),
        ("at", pa.string()),  # ISO 8601, UTC
        ("next_try_at", pa.string()),  # "" if never
        ("node", pa.string()),  # the machine where it was rejected
    ]
)

SHARD_ROWS = pa.schema(
    [
        ("key", pa.string()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("clips", pa.string()),  # JSON [[start_ms, end_ms]]
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("reason", pa.string()),
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("channel_id", pa.string()),
        ("category_id", pa.int32()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("duration_ms", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("codec", pa.string()),
        (
            "members",
            pa.string(),
        ),  # JSON {extension: [offset of the data in this tar, size]}; "{}" if failed
        ("language", pa.string()),  # this and what follows: as in KEY.json, for training to choose by
        ("caption_kind", pa.string()),
        ("boundary_model", pa.string()),
        ("alignment_confidence", pa.float64()),
        ("motion", pa.float64()),
        ("blur", pa.float64()),
        ("text_share", pa.float64()),
        ("overlay_share", pa.float64()),
        ("blockiness", pa.float64()),
        ("entropy", pa.float64()),
        ("speech_share", pa.float64()),
        ("heard", pa.float64()),
        ("flags", pa.string()),  # JSON list of strings
    ]
)
RECORDED = SHARD_ROWS.names[SHARD_ROWS.names.index("members") + 1 :]
"""Columns of SHARD_ROWS that come from KEY.json; shards made before they were written lack them."""

EMBEDDED = pa.schema(
    [
        ("key", pa.string()),
        ("match", pa.float32()),  # log probability of its own sentence among others of the split
        ("match_rank", pa.int32()),  # of its own sentence among them, from 1
        ("match_category", pa.float32()),  # the same among sentences of its category
        ("match_category_rank", pa.int32()),
    ]
)
"""A table of embeddings, which has `video` and `text` besides, of the model's width (manifests/embeddings.py)."""

MANIFEST = pa.schema(
    [
        ("url", pa.string()),  # relative to manifest.json
        ("split", pa.string()),
        ("generation", pa.int32()),
        ("sha256", pa.string()),
        ("md5", pa.string()),
        ("bytes", pa.int64()),
        ("nsamples", pa.int64()),
        ("hours", pa.float64()),
        ("categories", pa.string()),  # JSON {category id: samples}
    ]
)

TABLES: dict[str, pa.Schema] = {
    "listings": LISTINGS,
    "sources": SOURCES,
    "candidates": CANDIDATES,
    "videos": VIDEOS,
    "captions": CAPTIONS,
    "transcripts": TRANSCRIPTS,
    "clips": CLIPS,
    "heard": HEARD,
    "packs": PACKS,
    "stills": STILLS,
    "compared": COMPARED,
    "matches": MATCHES,
}
"""Tables that stages write in parts."""

WIDE: dict[str, tuple[str, ...]] = {
    "listings": ("title", "given_spans"),
    "candidates": ("given_spans",),
    "videos": ("given_spans", "extra", "about"),
    "captions": ("payload",),
    "transcripts": ("words", "events", "minhash"),
    "clips": ("text",),
    "heard": ("words",),
    "packs": ("text", "members", "phashes"),
    "stills": ("clip_id", "still"),
}
"""By table: the columns that merged tables keep in a separate file, so that counts and joins never load them."""


def completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Adds the columns that a table lacks: "", b"", [] or 0 in each row."""
    if table.schema.equals(schema):  # except for names inside lists, which Parquet changes
        for i, field in enumerate(schema):
            if pa.types.is_nested(field.type):
                table = table.set_column(i, field, table.column(i).cast(field.type))
        return table.replace_schema_metadata(None)
    names = set(table.schema.names)
    for field in schema:
        if field.name not in names:
            table = table.append_column(field, pa.array([_blank(field.type)] * table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def _blank(of_type: pa.DataType) -> str | bytes | list[Any] | int:
    if pa.types.is_string(of_type):
        return ""
    if pa.types.is_binary(of_type):
        return b""
    return [] if pa.types.is_list(of_type) else 0


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Makes rows into a table of exactly this schema. Raises ValueError naming a missing, unknown or null column."""
    names = set(schema.names)
    for row in rows:
        if row.keys() != names:
            odd = sorted(row.keys() ^ names)
            raise ValueError(f"row columns differ from the schema: {', '.join(odd)}")
    table = pa.Table.from_pylist(list(rows), schema=schema)
    for name in schema.names:
        if table.column(name).null_count:
            raise ValueError(f"column {name} holds a null")
    return table

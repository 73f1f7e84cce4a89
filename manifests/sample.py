"""A sample of a shard: its key, its members and the fields of KEY.json.

Every KEY.json has every key, each with one type and never null, since readers infer their schema from the first few
samples. Lists that can be empty are strings holding JSON.
"""

import json
import re
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict

from manifests.members import MEMBERS
from manifests.version import SCHEMA_VERSION

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXTENSION = re.compile(r"(?!(key|shard|category_id)$)[a-z0-9]+(_[a-z0-9]+)*(\.[a-z0-9]+)*(?<!_bytes)")

MEMBER_ORDER = tuple(member.extension for member in MEMBERS)
"""Extensions in the order in which a sample's members are stored in the tar."""

DEFAULT_MEMBERS = tuple(member.extension for member in MEMBERS if member.default)
"""The members of a data set whose configuration doesn't say otherwise."""

ALL_MEMBERS = (MEMBER_ORDER[0], "jpg", *MEMBER_ORDER[1:])
"""The same plus the members of a picture (image_sample.py): all that can be in a tar of either kind, in its order."""


MAX_PIXELS = 4096 * 2160
"""Of a frame: clips are cut out of no larger source, and no reader decodes one: it could fill any memory."""

GIVEN = "given"
"""`boundary_model` of clips whose spans came with their videos: their borders are never moved."""
RECOGNISED = "recognised"
"""`caption_kind` of clips whose text is what a recogniser heard."""
WHOLE_VIDEO = "whole_video"
"""Flag of a clip that is the whole video: its end is known only once its media is there."""
WITHDRAWN = "withdrawn"
"""Flag of a planned clip whose sentence was removed: media cuts nothing for it."""


def is_video_id(text: str) -> bool:
    """Whether a text can serve as a video id, which becomes part of keys, unit names and file names."""
    return VIDEO_ID.fullmatch(text) is not None


def is_extension(text: str) -> bool:
    """Whether another package's member can have this extension: it becomes part of file names, and two columns of an
    index, beside `key`, `shard` and `category_id`.
    """
    return _EXTENSION.fullmatch(text) is not None


def clip_id(video_id: str, n: int) -> str:
    """`<video_id>.<n>`, the id of a clip in HD-VILA-100M's form (without its file suffix)."""
    return f"{video_id}.{n}"


def sample_key(video_id: str, n: int) -> str:
    """`<video_id>_<n:05d>`: no dot and no slash, unique in the data set."""
    return f"{video_id}_{n:05d}"


WHOLE_MS = -1
"""End of a given span that is the whole video, whose length is known only once its media is there."""


class GivenSpan(TypedDict):
    """A clip given with its video, in the form of `videos.given_spans` (a JSON list)."""

    n: int
    start_ms: int
    end_ms: int
    text: str


class SampleJson(BaseModel):
    """KEY.json as written: every key, and no other.

    Times are in the source, except for the clip's position inside the mp4 (`offset_ms`, `first_frame` …).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    clip_id: str
    video_id: str
    url: str
    category_id: int
    category: str
    channel_id: str
    title: str
    license: str
    upload_date: str
    language: str
    caption_kind: str
    boundary_model: str
    text: str
    start_ms: int
    """Start of the clip in the source: the clip's frames are those with start_ms <= pts < end_ms."""
    end_ms: int
    planned_start_ms: int
    """The planned start, before it moved into silence or onto a scene cut."""
    planned_end_ms: int
    offset_ms: int
    """Start of the clip inside the mp4, rounded down; `first_frame` is exact."""
    duration_ms: int
    first_frame: int
    """Index, in presentation order from 0, of the clip's first frame inside the mp4."""
    n_frames: int
    cut_mode: Literal["remux", "exact"]
    width: int
    """Of the displayed frame, after rotation, in pixels."""
    height: int
    fps: float
    """Average frame rate of the source, frames per second."""
    codec: str
    rotation: int
    has_audio: bool
    audio_start_ms: int = 0
    """The time in the mp4, in ms, of the first sample of its audio: up to 40 near a source's start, where audio begins
    after the first decode time of the video, and otherwise 0 or the pre-skip of Opus. A plain array is early by it.
    """
    words: str
    """JSON list of {text, start_ms, end_ms, timed}, times relative to the clip's start."""
    scene_cuts: str
    """JSON list of cut times, ms relative to the clip's start: hard cuts, and the middles of gradual transitions."""
    scene_spans: str = "[]"
    """JSON list of [start, end] of gradual transitions (dissolves, fades), ms from the clip's start, within it."""
    flags: str
    """JSON list of strings: profanity, email, still_picture …"""
    motion: float
    """How far a pixel moves in half a second on average, % of the short side; -1 here and below: not measured."""
    blur: float = -1.0
    """From 0 (sharp) to 1; a flat picture is 0."""
    text_share: float = -1.0
    """The share of the picture that lines of text take."""
    entropy: float = -1.0
    """Of the picture's brightness, bits: 0 (flat) to 6."""
    speech_share: float = -1.0
    """The share of the clip in which somebody speaks, by its audio; -1 if it was not listened to."""
    heard_by: str = ""
    """The recogniser whose text it is (`caption_kind` is `recognised`): its model with its hash, device, versions."""
    alignment_confidence: float
    proxy_width: int
    """Of KEY.m4v, in pixels; 0 if there is none."""
    proxy_height: int
    proxy_step: int = 1
    """The proxy's frame i is the clip's frame i * proxy_step, at the same time; stills show frames it has."""
    stills: str
    """JSON list of {frame, time_ms, offset, size} into KEY.mjpg; "[]" if there is none.

    `frame` counts from the clip's first frame (in the mp4 it is first_frame + frame) and is exact; `time_ms` counts
    from the clip's start, which may be a fraction of a frame before its first frame, and is rounded down. Stills of
    a picture that stays share its place.
    """
    stills_width: int
    stills_height: int
    versions: str
    """JSON {tool: version} of what made the sample."""


class ReadSample(SampleJson):
    """KEY.json as read: keys that this version does not know are kept (`model_extra`)."""

    model_config = ConfigDict(extra="allow", frozen=True)


def written_sample(facts: dict[str, Any], of_members: dict[str, Any]) -> SampleJson:
    """The KEY.json of a new sample: the clip's facts plus what its members add.

    Fields that only some data sets have (MemberFacts.fields) come last, and are absent if the member is off.
    """
    off = {"proxy_width": 0, "proxy_height": 0, "proxy_step": 1, "stills": "[]", "stills_width": 0, "stills_height": 0}
    own = {name: of_members.get(name, value) for name, value in off.items()}
    sample = SampleJson.model_validate(facts | own)
    more = {name: value for name, value in of_members.items() if name not in off}
    return ReadSample.model_validate(sample.model_dump() | more) if more else sample


SIGNALS = ("motion", "blur", "text_share", "entropy", "speech_share")
"""What was measured of a clip's pictures and audio; -1 is unknown."""
_OF_TYPE: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False}
_MISSING = {
    "category_id": -1,
    "cut_mode": "remux",
    "proxy_step": 1,
    "versions": "{}",
    **dict.fromkeys(SIGNALS, -1.0),
    **dict.fromkeys(("words", "scene_cuts", "scene_spans", "flags", "stills"), "[]"),
}
"""The value of a missing key whose unknown value is not "", 0 or False."""

DEFAULTS: dict[str, Any] = {
    name: _MISSING.get(name, _OF_TYPE.get(field.annotation))
    for name, field in SampleJson.model_fields.items()
    if name != "schema_version"
}
"""By key: the value that stands for a missing key."""


def read_sample(data: bytes) -> ReadSample:
    """Reads a KEY.json of this version or another: unknown keys are kept, missing keys get defaults.

    `schema_version` rises only if a key's meaning changes; ValueError for a higher number than this version's, and for
    anything that is not such an object or has a value of another type.
    """
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    version = document.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ValueError(f"schema version {version}, this program reads up to {SCHEMA_VERSION}; use a newer hdvila")
    return ReadSample.model_validate(DEFAULTS | document, strict=True)

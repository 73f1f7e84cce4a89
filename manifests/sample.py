"""What one sample of a shard is: its key, its members and the fields of KEY.json.

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

MEMBER_ORDER = tuple(member.extension for member in MEMBERS)
"""Extensions in the order in which a sample's members stand in the tar."""

DEFAULT_MEMBERS = tuple(member.extension for member in MEMBERS if member.default)
"""Those that a data set has unless its configuration says otherwise."""

ALL_MEMBERS = (MEMBER_ORDER[0], "jpg", *MEMBER_ORDER[1:])
"""The same with those of a picture (image_sample.py): what can stand in a tar of either kind, in its order."""


WHOLE_VIDEO = "whole_video"
"""Flag of a clip that is the whole video: its end is known once its media is there."""


def is_video_id(text: str) -> bool:
    """Whether a text can serve as a video id: it becomes part of keys, unit names and file names."""
    return VIDEO_ID.fullmatch(text) is not None


def clip_id(video_id: str, n: int) -> str:
    """`<video_id>.<n>`, the id of a clip as HD-VILA-100M writes it (without its file suffix)."""
    return f"{video_id}.{n}"


def sample_key(video_id: str, n: int) -> str:
    """`<video_id>_<n:05d>`: no dot and no slash, unique over the data set."""
    return f"{video_id}_{n:05d}"


class GivenSpan(TypedDict):
    """A clip that came with its video, as `videos.given_spans` holds it (a JSON list)."""

    n: int
    start_ms: int
    end_ms: int
    text: str


class SampleJson(BaseModel):
    """KEY.json as it is written: every key, and no other.

    Times of the clip inside the mp4 (`offset_ms`, `first_frame` …) apart, times are in the source.
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
    """First moment of the clip in the source: the clip's frames are those with start_ms <= pts < end_ms."""
    end_ms: int
    planned_start_ms: int
    """As the plan had it, before snapping to scene cuts."""
    planned_end_ms: int
    offset_ms: int
    """Where the clip starts inside the mp4, rounded down; `first_frame` is the truth."""
    duration_ms: int
    first_frame: int
    """Index, in presentation order from 0, of the clip's first frame inside the mp4."""
    n_frames: int
    cut_mode: Literal["remux", "exact", "keyframe"]
    width: int
    """Of the displayed picture, after rotation."""
    height: int
    fps: float
    """Average frame rate of the source, frames per second."""
    codec: str
    rotation: int
    has_audio: bool
    audio_start_ms: int = 0
    """Where the first sample of the mp4's audio belongs, ms in the mp4: what readers that give one plain array of
    samples put before it. Over 0 near a source's start, where audio begins after the pictures' first decode time."""
    words: str
    """JSON list of {text, start_ms, end_ms, timed}, times relative to the clip's start."""
    scene_cuts: str
    """JSON list of cut times, ms relative to the clip's start: hard cuts, and the middles of gradual transitions."""
    scene_spans: str = "[]"
    """JSON list of [start, end] of the gradual ones (dissolves, fades), ms relative to the clip's start, within it."""
    flags: str
    """JSON list of strings: profanity, email, still_picture …"""
    motion: float
    alignment_confidence: float
    proxy_width: int
    """Of KEY.m4v; 0 where there is none."""
    proxy_height: int
    proxy_step: int = 1
    """The proxy's frame i is the clip's frame i * proxy_step, each at its own time; stills show frames that it has."""
    stills: str
    """JSON list of {frame, time_ms, offset, size} into KEY.mjpg; "[]" where none.

    `frame` counts from the clip's first frame (in the mp4 it is first_frame + frame) and is the truth; `time_ms` counts
    from the clip's start, which may lie a part of a frame before its first frame, and is rounded down. Sets made before
    it was added have no `frame`.
    """
    stills_width: int
    stills_height: int
    versions: str
    """JSON {tool: version} of what made the sample."""


class ReadSample(SampleJson):
    """KEY.json as it is read: keys that this version does not know are kept (`model_extra`)."""

    model_config = ConfigDict(extra="allow", frozen=True)


LATER_KEYS: frozenset[str] = frozenset({"audio_start_ms", "scene_spans", "proxy_step"})
"""Keys that came after the first release: samples made before do without."""


def written_sample(facts: dict[str, Any], of_members: dict[str, Any]) -> SampleJson:
    """The KEY.json of a new sample: the facts of the clip and what its members add.

    What only some data sets have (MemberFacts.fields) comes last, and is not there where the member is off.
    """
    off = {"proxy_width": 0, "proxy_height": 0, "proxy_step": 1, "stills": "[]", "stills_width": 0, "stills_height": 0}
    own = {name: of_members.get(name, value) for name, value in off.items()}
    sample = SampleJson.model_validate(facts | own)
    more = {name: value for name, value in of_members.items() if name not in off}
    return ReadSample.model_validate(sample.model_dump() | more) if more else sample


_OF_TYPE: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False}
_MISSING = {
    "category_id": -1,
    "cut_mode": "remux",
    "motion": -1.0,
    "proxy_step": 1,
    "versions": "{}",
    **dict.fromkeys(("words", "scene_cuts", "scene_spans", "flags", "stills"), "[]"),
}
"""What a key that is not there stands for, where "", 0 or False does not say "not known"."""

DEFAULTS: dict[str, Any] = {
    name: _MISSING.get(name, _OF_TYPE.get(field.annotation))
    for name, field in SampleJson.model_fields.items()
    if name != "schema_version"
}
"""By key: the value that stands for a missing one in samples of earlier versions."""


def read_sample(data: bytes) -> ReadSample:
    """A KEY.json of this version, an earlier or a later one: unknown keys are kept, missing ones get their default.

    `schema_version` rises only where a key's meaning changes; ValueError for a higher one than this version's, and for
    what is not such an object or has a value of another type.
    """
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    version = found.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ValueError(f"schema version {version}, this program reads up to {SCHEMA_VERSION}; use a newer hdvila")
    return ReadSample.model_validate(DEFAULTS | found, strict=True)

"""Prepared members: files beside a clip in its sample that save a trainer from decoding 720p.

A member is a module of this folder with a `MEMBER`; its extension, its keys in the configuration and what it adds to
KEY.json are in manifests/members.py. A module added here is loaded automatically. Each is fed frame by frame during the
decode pass, or given the clip's audio.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from manifests.members import MEMBERS as TABLE
from manifests.members import MemberFacts
from manifests.plugins import load, names_in
from manifests.sample import SampleJson
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Audio
from pipeline.media.cutting.span import CutClip
from pipeline.media.modules import modules_of
from pipeline.media.probe import Probe

if TYPE_CHECKING:
    from pipeline.media.frames import Picture, Scaler, Small


@dataclass(frozen=True, slots=True)
class Made:
    """A finished member: its bytes, and what it adds to KEY.json."""

    data: bytes
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClipTools:
    """What a maker knows of its clip."""

    source: Probe
    clip: CutClip
    config: MediaConfig
    scaler: Callable[[int, str], Scaler]
    """Returns a scaler for a short side (pixels) and pixel format, shared by the clips of a video."""


class PictureMaker(Protocol):
    """Makes a member of one clip from its frames."""

    def feed(self, picture: Picture, small: Small, clip_ms: int) -> None:
        """Takes a frame of the clip, in order; `small()` gives it at short side SMALL_SHORT_SIDE, yuv420p."""

    def finish(self) -> Made:
        """Returns the member, after the clip's last frame."""


@dataclass(frozen=True, slots=True)
class Member:
    """How a member is made and verified: from frames by a maker, or from the clip's audio by a function. `facts`: its
    entry in the table, of a member that another package brings.
    """

    extension: str
    needs: Literal["frames", "audio"]
    faults: Callable[[SampleJson, bytes], Iterator[str]]
    picture: Callable[[ClipTools], PictureMaker] | None = None
    audio: Callable[[Audio, int, MediaConfig], Made] | None = None
    """(audio, duration of the clip in ms, settings) -> the member."""
    facts: MemberFacts | None = None


@cache
def all_members() -> tuple[tuple[MemberFacts, Member], ...]:
    """Every member that can be switched off, with its entry in the table, in the table's order."""
    members: dict[str, Member] = {m.MEMBER.extension: m.MEMBER for m in modules_of(__name__) if hasattr(m, "MEMBER")}
    return tuple((facts, members[facts.extension]) for facts in TABLE if facts.switch)


def member_of(extension: str) -> Member | None:
    """The member with this extension; None if it is not made here, and no installed package brings it."""
    for facts, member in all_members():
        if facts.extension == extension:
            return member
    name = extension.partition(".")[0]
    return load("members", name) if name in names_in("members") else None


def members_on(config: MediaConfig, need: Literal["frames", "audio"]) -> Iterator[Member]:
    """Yields the members that are switched on and made from frames, or from the audio."""
    of_others = [load("members", name) for name in type(config.members).packages]
    members = [(member.facts, member) for member in of_others]
    if any(facts.is_on(config.members) for facts in TABLE if facts.switch):  # otherwise none has to be imported
        members = [*all_members(), *members]
    for facts, member in members:
        if member.needs == need and facts.is_on(config.members):
            yield member


@dataclass(slots=True)
class Makers:
    """The makers of one clip during the decode pass, and what they made."""

    running: dict[str, PictureMaker]
    made: dict[str, Made] = field(default_factory=dict)

    @classmethod
    def begin(cls, tools: ClipTools) -> Makers:
        """Starts a maker for each switched-on member that is made from frames."""
        return cls({m.extension: m.picture(tools) for m in members_on(tools.config, "frames") if m.picture})

    def finish(self) -> None:
        """Finishes all members, after the clip's last frame."""
        self.made = {extension: maker.finish() for extension, maker in self.running.items()}
        self.running = {}


def small_still(made: Made) -> bytes:
    """A small JPEG of the middle one of a clip's stills, at a quarter of their size; b"" if there are none."""
    import cv2
    import numpy as np

    if not (stills := json.loads(made.fields["stills"])):
        return b""
    middle = stills[len(stills) // 2]
    jpeg = np.frombuffer(made.data, np.uint8, middle["size"], middle["offset"])
    picture = cv2.imdecode(jpeg, cv2.IMREAD_REDUCED_COLOR_4)
    if picture is None:
        return b""
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes())

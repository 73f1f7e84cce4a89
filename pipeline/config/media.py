"""Settings of media: limits of fetched files, how clips are cut, which members are made and which checks are done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, SerializeAsAny, create_model

from manifests.checks import CHECKS, Action, CheckFacts
from manifests.members import MEMBERS, OFF, MemberFacts, settings_of, values_of
from manifests.plugins import WithPlugins
from manifests.sample import is_extension
from manifests.settings import Section, identity

LEAST_SHORT_SIDE_720P = 704
"""720p material is often coded with a few rows less."""


def _said_off(given: Any) -> Any:
    """YAML reads a bare `off` as false."""
    return OFF if given is False else given


Detector = Annotated[Literal["shots", "off"], BeforeValidator(_said_off)]
DuplicatesAction = Annotated[Literal["drop", "flag", "off"], BeforeValidator(_said_off)]


class MediaLimits(Section):
    """Limits of a media file: input from the net is hostile."""

    stage: ClassVar[str] = "media"

    max_bytes: int = identity(
        8 * 1024**3, doc="largest media file, fetched or in a folder, bytes; larger ones are rejected", ge=1
    )
    max_duration_s: float = identity(6 * 3600.0, doc="longest media file, seconds; longer ones are rejected", gt=0)


class CutConfig(Section):
    """How clips are cut out of a video."""

    stage: ClassVar[str] = "media"

    mode: Literal["remux", "exact"] = identity(
        "remux",
        doc="remux: no re-encoding; packets from the keyframe before the clip, first_frame and offset_ms say "
        "where it starts; exact: re-encoded, from start to end of the sentence",
    )
    hdr: Literal["reject", "keep"] = identity(
        "reject",
        doc="HDR sources: reject, or keep (copied without tone mapping, so that members made from them look flat)",
    )
    interlaced: Literal["reject", "keep"] = identity(
        "reject", doc="interlaced sources: reject, or keep (fields are copied as they are)"
    )
    convert: bool = identity(
        False,
        doc="convert sources that are rejected otherwise (interlaced, HDR, other codecs ...) to H.264 first (ffmpeg)",
    )
    require_audio: bool = identity(False, doc="reject videos without audio")
    accept_wide: bool = identity(
        True, doc="a picture wider than 16:9 also counts as 720p if its long side has at least 1280 pixels"
    )
    min_short_side: int = identity(
        LEAST_SHORT_SIDE_720P,
        doc="short side from which a picture counts as 720p, after rotation, pixels; 0 takes any",
        ge=0,
    )
    borders: Literal["silence", "planned"] = identity(
        "silence",
        doc="silence: each border of a clip moves into the nearest silence of the audio, by 0.4 s at most and past no "
        "word, if its span did not come from a list; planned: it stays, and nothing is known of speech",
    )
    exact_crf: int = identity(23, doc="exact: constant rate factor of x264", ge=0, le=51)

    @property
    def least_side(self) -> int:
        """The short side in pixels that a rendition is chosen for: if any size is accepted, 720p is still preferred."""
        return self.min_short_side or LEAST_SHORT_SIDE_720P

    def is_720p(self, width: int, height: int) -> bool:
        """Whether a displayed frame counts as 720p, by its short side or (accept_wide) its long side."""
        short, long = min(width, height), max(width, height)
        if short >= self.min_short_side:
            return True
        least_long = 1280 * self.min_short_side // LEAST_SHORT_SIDE_720P
        return self.accept_wide and long >= least_long and long * 9 > short * 16


class ScenesConfig(Section):
    """How shot boundaries are found, and what a boundary inside a clip does to it."""

    stage: ClassVar[str] = "media"

    detector: Detector = identity(
        "shots",
        doc="shots: hard cuts, dissolves, fades and wipes, without flashes and captions; off: none are looked for",
    )
    action: Literal["flag", "drop", "snap", "split"] = identity(
        "flag",
        doc="what happens to a clip that crosses a cut: flag it, drop it, snap (move an end that is near a "
        "cut, half a second, onto it), or split it at its cuts (parts of less than a second are dropped)",
    )

    @property
    def enabled(self) -> bool:
        """Whether scenes are looked for."""
        return self.detector != OFF


class _Pictures(Section):
    """The members made for training, besides the clip itself."""

    stage: ClassVar[str] = "media"

    proxy_short_side: int = identity(
        180, doc="short side of the proxy, pixels; 180 is a quarter of 720", ge=32, multiple_of=2
    )
    proxy_step: int = identity(
        2,
        doc="the proxy holds every n-th frame, if that leaves 10 a second and the clip is not short; 1: every frame",
        ge=1,
        le=12,
    )
    still_every_s: float = identity(2.0, doc="time between two stills of a clip, seconds", gt=0)
    still_quality: int = identity(90, doc="JPEG quality of the stills, 1 to 100", ge=1, le=100)


class _Checks(Section):
    stage: ClassVar[str] = "media"


Keys = dict[str, Any]
"""Keys of a section in the form that pydantic's create_model takes: name -> (type, field)."""


def _switches() -> Keys:
    """For each optional member: the key that switches it on or off, and the keys of its settings."""
    keys: Keys = {}
    for member in MEMBERS:
        if not member.switch:
            continue
        if words := values_of(member.switch):
            keys.setdefault(member.switch, (_one_of(words), identity(OFF, doc=member.doc)))
            keys |= settings_keys(member)
        else:
            keys |= _of_member(member)
    return keys


def _of_member(member: MemberFacts) -> Keys:
    return {member.switch: (bool, identity(member.default, doc=member.doc)), **settings_keys(member)}


def _actions() -> Keys:
    """For each check: the key of its action, and the keys of its settings."""
    keys: Keys = {}
    for check in CHECKS:
        keys |= _of_check(check)
    return keys


def _of_check(check: CheckFacts) -> Keys:
    return {check.name: (Action, identity(check.action, doc=check.doc)), **settings_keys(check)}


def _one_of(values: tuple[str | int, ...]) -> Any:
    """The type of a key that takes one of these values."""
    return Annotated[Literal[values], BeforeValidator(_said_off)]


def settings_keys(facts: Any) -> Keys:
    """The keys of a step's settings."""
    keys: Keys = {}
    for name, setting in settings_of(facts).items():
        kind = _one_of(setting.choices) if setting.choices else type(setting.default)
        keys[name] = kind, identity(setting.default, doc=setting.doc, **setting.bounds)
    return keys


if TYPE_CHECKING:  # the keys come from the tables in manifests/

    class MembersConfig(_Pictures):
        """The members made for training, besides the clip itself."""

        def __init__(self, **keys: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

    class ChecksConfig(Section):
        """What is verified of a clip's video and audio."""

        def __init__(self, **keys: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

else:
    MembersConfig = create_model(
        "MembersConfig", __base__=_Pictures, __module__=__name__, __doc__=_Pictures.__doc__, **_switches()
    )
    ChecksConfig = create_model(
        "ChecksConfig",
        __base__=_Checks,
        __module__=__name__,
        __doc__="What is verified of a clip. Each check flags a clip, rejects it or is ignored.",
        **_actions(),
    )


def _check_of_others(name: str, check: Any) -> type[Section]:
    facts: CheckFacts = check.facts
    if facts.name != name:
        raise ValueError(f"its facts name the check {facts.name}")
    return create_model(name, __base__=Section, **_of_check(facts))


def _member_of_others(name: str, member: Any) -> type[Section]:
    facts: MemberFacts = member.facts
    if (facts.switch, facts.value) != (name, "") or facts.extension.partition(".")[0] != name:
        raise ValueError(f"its switch is {facts.switch}, its extension {facts.extension}: both begin with {name}")
    if not is_extension(facts.extension):
        raise ValueError(f"a member cannot have the extension {facts.extension}")
    return create_model(name, __base__=Section, **_of_member(facts))


class HeardConfig(Section):
    """The speech recogniser that gives videos without captions a transcript."""

    stage: ClassVar[str] = "recognise"

    model: str = identity(
        "",
        doc="folder with a Whisper model for CTranslate2 (model.bin …), which hdvila[recognise] listens with; empty: "
        "nothing is recognised",
    )
    compute_type: Literal["int8", "int8_float16", "float16", "float32"] = identity(
        "int8", doc="numbers that the model computes with; int8_float16 and float16 need a GPU"
    )


class DuplicatesConfig(Section):
    """What becomes of clips and videos that show the same pictures as others."""

    stage: ClassVar[str] = "balance"

    action: DuplicatesAction = identity(
        "drop",
        doc="near-duplicate clips and videos, and stock intros, found by perceptual hashes: drop (leave them out), "
        "flag (only count them), or off (not looked for)",
    )

    @property
    def enabled(self) -> bool:
        """Whether duplicates are looked for."""
        return self.action != OFF


class MediaConfig(Section):
    """All settings of the media stage and of the `cut` command."""

    stage: ClassVar[str] = "media"

    limits: MediaLimits = MediaLimits()
    cut: CutConfig = CutConfig()
    scenes: ScenesConfig = ScenesConfig()
    members: Annotated[
        SerializeAsAny[MembersConfig], BeforeValidator(WithPlugins(MembersConfig, "members", _member_of_others))
    ] = MembersConfig()
    checks: Annotated[
        SerializeAsAny[ChecksConfig], BeforeValidator(WithPlugins(ChecksConfig, "checks", _check_of_others))
    ] = ChecksConfig()
    heard: HeardConfig = HeardConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()
    keep_rejected_stills: bool = identity(
        False,
        doc="keep a small still, 320 pixels wide, of each clip that was decoded, for `browse` to show also where it is "
        "rejected later; needs members.stills",
    )

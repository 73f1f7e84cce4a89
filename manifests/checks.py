"""The checks of a clip, in a table. How a check measures is in a file of pipeline/media/checks/ that names it.

The keys `media.checks.*` of the configuration, the options of `cut --only-clips` and the documents follow from it.
"""

from dataclasses import dataclass
from typing import Literal

from manifests.members import Setting
from manifests.reasons import AnyReason, Reason

Action = Literal["ignore", "flag", "reject"]


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """One check. `name` is the key whose value is the action; `action` is its default."""

    name: str
    reason: AnyReason
    action: Action
    doc: str
    settings: tuple[Setting, ...] = ()


CHECKS = (
    CheckFacts("decode_errors", Reason.DECODE_ERRORS, "reject", "the decoder reports errors inside the clip"),
    CheckFacts("picture_area", Reason.UPSCALED, "reject", "inside its black bars the picture is below 720p"),
    CheckFacts(
        "bars",
        Reason.UPSCALED,
        "flag",
        "black bars take at least a tenth of the frame, and the picture inside is still 720p (4:3, wide)",
    ),
    CheckFacts(
        "still_picture",
        Reason.STILL_PICTURE,
        "flag",
        "nothing moves: a still picture or slides",
        (
            Setting(
                "still_motion",
                0.6,
                "a picture is still if its brightness changes by less than this on average in half a second, of 255",
                {"ge": 0},
            ),
        ),
    ),
    CheckFacts(
        "coverage",
        Reason.TRUNCATED,
        "flag",
        "frames are missing in part of the clip: a second without a new one",
    ),
    CheckFacts(
        "silence",
        Reason.SILENT,
        "flag",
        "no audio, or only silence: its loudest 100 ms are below -60 dBFS",
    ),
    CheckFacts(
        "low_heard",
        Reason.LOW_HEARD,
        "flag",
        "little of its text is heard in it, if a recogniser listened (media.heard.model)",
        (
            Setting(
                "least_heard",
                0.35,
                "share of a clip's text that is heard below which it is low_heard",
                {"ge": 0, "le": 1},
            ),
        ),
    ),
    CheckFacts(
        "other_speech",
        Reason.OTHER_SPEECH,
        "flag",
        "at least nine in ten clips of its video are below least_heard: captions of another film, or translated",
    ),
    CheckFacts(
        "brightness",
        Reason.BAD_EXPOSURE,
        "ignore",
        "the clip is nearly black or nearly white: the mean brightness of its frames is below 24 or above 232 of 255",
    ),
)
"""In the order in which they are made: the first that rejects a clip gives the reason."""

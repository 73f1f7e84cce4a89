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
        Reason.BLACK_BARS,
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
                0.1,
                "a picture is still if its parts move less in half a second on average, % of the short side",
                {"ge": 0},
            ),
        ),
    ),
    CheckFacts(
        "coverage", Reason.TRUNCATED, "flag", "frames are missing in part of the clip: a second without a new one"
    ),
    CheckFacts("silence", Reason.SILENT, "flag", "no audio, or only silence: its loudest 100 ms are below -60 dBFS"),
    CheckFacts(
        "brightness",
        Reason.BAD_EXPOSURE,
        "ignore",
        "the clip is nearly black or nearly white: the mean brightness of its frames is below 24 or above 232 of 255",
    ),
    CheckFacts(
        "blurred",
        Reason.BLURRED,
        "ignore",
        "nothing in the picture is sharp",
        (Setting("most_blur", 0.48, "a picture is blurred above this, of 1", {"ge": 0, "le": 1}),),
    ),
    CheckFacts(
        "much_text",
        Reason.MUCH_TEXT,
        "ignore",
        "lines of text take much of the picture",
        (Setting("most_text", 0.014, "share of the picture that text may take", {"ge": 0, "le": 1}),),
    ),
    CheckFacts(
        "plain_picture",
        Reason.PLAIN_PICTURE,
        "ignore",
        "most of the picture has one brightness: black, slides, writing on a board",
        (Setting("least_entropy", 2.75, "a picture is plain below this, bits of 6", {"ge": 0, "le": 6}),),
    ),
)
"""In the order in which they are made: the first that rejects a clip gives the reason."""

"""The checks that read what `Look` measures (black bars, still pictures, gaps), and the decoder's errors."""

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Check, Seen
from pipeline.media.checks.look import Look, picture_size

LONGEST_GAP_MS = 1000
"""Without a new frame: fewer than one a second is a slide show, or frames are lost."""
_FULL_SHARE = 0.9
"""A picture that takes at least this share of the frame counts as having no bars."""


def decode_errors(seen: Seen, _config: MediaConfig) -> str:
    """Finds errors that the decoder reported inside the clip."""
    return f"{len(seen.faults)}, first: {seen.faults[0]}" if seen.faults else ""


def picture_area(seen: Seen, config: MediaConfig) -> str:
    """Finds a picture that is no longer 720p without its bars."""
    size = _inside_bars(seen)
    return f"{size[0]}x{size[1]} inside black bars" if size and not config.cut.is_720p(*size) else ""


def bars(seen: Seen, config: MediaConfig) -> str:
    """Finds bars around a picture that is 720p itself."""
    size = _inside_bars(seen)
    return f"{size[0]}x{size[1]} inside black bars" if size and config.cut.is_720p(*size) else ""


def still_picture(seen: Seen, config: MediaConfig) -> str:
    """Finds a picture that does not move."""
    motion = _look(seen).motion
    return f"moves by {motion} % of its short side in half a second" if 0 <= motion < config.checks.still_motion else ""


def coverage(seen: Seen, _config: MediaConfig) -> str:
    """Finds a long gap without a new frame."""
    gap_ms = _look(seen).longest_gap_ms
    return f"{gap_ms} ms without a new picture" if gap_ms > LONGEST_GAP_MS else ""


def _inside_bars(seen: Seen) -> tuple[int, int] | None:
    """(width, height) of the picture inside black bars; None where there are no notable bars."""
    width, height = picture_size(_look(seen), seen.video)
    return (width, height) if width * height < _FULL_SHARE * seen.video.width * seen.video.height else None


def _look(seen: Seen) -> Look:
    if seen.look is None:
        raise ValueError("no picture of this clip was measured")
    return seen.look


CHECKS = (
    Check("decode_errors", "frames", decode_errors),
    Check("picture_area", "frames", picture_area),
    Check("bars", "frames", bars),
    Check("still_picture", "frames", still_picture),
    Check("coverage", "frames", coverage),
)

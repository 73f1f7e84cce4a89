"""Checks of what is said: whether a clip's text, its borders and its video's captions are as they are heard."""

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Check, Seen

_LEAST_CLIPS, _NEARLY_ALL = 3, 0.9
"""A video needs so many clips with words heard to be judged, and so large a share of them below the bound."""


def low_heard(seen: Seen, config: MediaConfig) -> str:
    """Finds a clip of whose text little is heard."""
    low = 0 <= seen.text_heard < config.checks.least_heard
    return f"{seen.text_heard:.2f} of its text is heard" if low else ""


def doubted_border(seen: Seen, config: MediaConfig) -> str:
    """Finds a clip that begins or ends inside a sentence, as it is heard."""
    return "a sentence goes on at its border" if seen.is_doubted else ""


def other_speech(seen: Seen, config: MediaConfig) -> str:
    """Finds a video of whose clips nearly all are low_heard."""
    n, n_low = len(seen.shares_heard), sum(share < config.checks.least_heard for share in seen.shares_heard)
    return f"{n_low} of {n} clips are not heard" if n >= _LEAST_CLIPS and n_low >= _NEARLY_ALL * n else ""


CHECKS = (
    Check("low_heard", "words", low_heard),
    Check("doubted_border", "words", doubted_border),
    Check("other_speech", "words", other_speech),
)

"""The constants in the code that change what a stage makes: run.json keeps them, and a run with others is refused.

A value that nobody has a reason to vary stands in the module that uses it, with what was measured, and here under the
first stage that it touches. `check_identity` treats a changed constant like another version of its stage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from manifests.sample import MAX_PIXELS
from pipeline.balance.next_batch import MOST_TRIES
from pipeline.crawl.grown import LEAST_CHANNELS
from pipeline.crawl.plan import (
    CLIPS_PER_VIDEO,
    FIRST_CANDIDATES,
    GIVE_CLIPS,
    HOURS_PER_CLIP,
    MAX_CANDIDATES,
    MAX_PER_CHANNEL,
    MORE_CANDIDATES,
    MOST_GROWN,
    STEADY_HOURS,
)
from pipeline.crawl.sources.site_lists import SEARCH_FILTER
from pipeline.crawl.words import LEAST_OWN, SAMPLE
from pipeline.likeness.same import LIKENESS
from pipeline.likeness.sentences import SAID_AGAIN
from pipeline.likeness.texts import SAME_TALK
from pipeline.media.checks.brightness import BRIGHTEST, DARKEST
from pipeline.media.checks.pictures import LONGEST_GAP_MS
from pipeline.media.checks.silence import SILENT_DBFS
from pipeline.media.cutting.audio import AAC_BITRATE
from pipeline.media.cutting.exact import ENCODER_THREADS, EXACT_GOP, EXACT_PRESET
from pipeline.media.cutting.remux import AUDIO_PREROLL_MS, MAX_PREROLL_MS
from pipeline.media.cutting.span import MAX_OVERRUN_MS
from pipeline.media.members.mel import MEL_HOP_MS, MEL_RATE
from pipeline.media.members.proxy import PROXY_CRF, PROXY_GOP, PROXY_PRESET
from pipeline.media.members.stills import MIN_STILLS, STILL_SHORT_SIDE
from pipeline.media.scenes import CONTENT_THRESHOLD, MIN_PART_MS, MIN_SCENE_MS, SHORT_SIDE, SNAP_MS
from pipeline.media.speech import INSIDE_MS, LEAST_SILENCE_MS, REACH_MS
from pipeline.site.formats import MAX_FPS
from pipeline.site.tracks import FORMATS, MAX_CAPTION_BYTES
from pipeline.text.clip_plan import BORDER_COSTS, MAX_GAP_MS
from pipeline.text.clips import MAX_BOILERPLATE
from pipeline.text.filters import LANGUAGE_WORDS, TEXT_RULES
from pipeline.text.sentences import MAX_WORDS
from pipeline.text.transcripts import MIN_TRACK_CONFIDENCE

_CHOOSE = {
    "FIRST_CANDIDATES": FIRST_CANDIDATES,
    "MAX_CANDIDATES": MAX_CANDIDATES,
    "MAX_PER_CHANNEL": MAX_PER_CHANNEL,
    "MORE_CANDIDATES": MORE_CANDIDATES,
    "STEADY_HOURS": STEADY_HOURS,
    "CLIPS_PER_VIDEO": CLIPS_PER_VIDEO,
    "HOURS_PER_CLIP": HOURS_PER_CLIP,
    "GIVE_CLIPS": GIVE_CLIPS,
    "LEAST_CHANNELS": LEAST_CHANNELS,
    "LEAST_OWN": LEAST_OWN,
    "MOST_GROWN": MOST_GROWN,
    "SAMPLE": SAMPLE,
}
_EXTRACT = {"FORMATS": " ".join(FORMATS), "MAX_CAPTION_BYTES": MAX_CAPTION_BYTES, "MAX_FPS": MAX_FPS}
_TRANSCRIPTS = {"MIN_TRACK_CONFIDENCE": MIN_TRACK_CONFIDENCE, "LANGUAGE_WORDS": LANGUAGE_WORDS}
_CLIPS = {
    "BORDER_COSTS": BORDER_COSTS,
    "TEXT_RULES": TEXT_RULES,
    "MAX_WORDS": MAX_WORDS,
    "MAX_GAP_MS": MAX_GAP_MS,
    "MAX_BOILERPLATE": MAX_BOILERPLATE,
}
_BALANCE = {"LIKENESS": LIKENESS, "SAME_TALK": SAME_TALK, "SAID_AGAIN": SAID_AGAIN, "MOST_TRIES": MOST_TRIES}
_CUTTING = {
    "MAX_OVERRUN_MS": MAX_OVERRUN_MS,
    "MAX_PREROLL_MS": MAX_PREROLL_MS,
    "AUDIO_PREROLL_MS": AUDIO_PREROLL_MS,
    "MAX_PIXELS": MAX_PIXELS,
    "EXACT_GOP": EXACT_GOP,
    "EXACT_PRESET": EXACT_PRESET,
    "ENCODER_THREADS": ENCODER_THREADS,
    "AAC_BITRATE": AAC_BITRATE,
}
_BORDERS = {"REACH_MS": REACH_MS, "LEAST_SILENCE_MS": LEAST_SILENCE_MS, "INSIDE_MS": INSIDE_MS}
_CHECKS = {
    "LONGEST_GAP_MS": LONGEST_GAP_MS,
    "SILENT_DBFS": SILENT_DBFS,
    "DARKEST": DARKEST,
    "BRIGHTEST": BRIGHTEST,
}
_SCENES = {
    "CONTENT_THRESHOLD": CONTENT_THRESHOLD,
    "SHORT_SIDE": SHORT_SIDE,
    "MIN_SCENE_MS": MIN_SCENE_MS,
    "SNAP_MS": SNAP_MS,
    "MIN_PART_MS": MIN_PART_MS,
}
_MEMBERS = {
    "PROXY_GOP": PROXY_GOP,
    "PROXY_PRESET": PROXY_PRESET,
    "PROXY_CRF": PROXY_CRF,
    "STILL_SHORT_SIDE": STILL_SHORT_SIDE,
    "MIN_STILLS": MIN_STILLS,
    "MEL_RATE": MEL_RATE,
    "MEL_HOP_MS": MEL_HOP_MS,
}

CONSTANTS: Mapping[str, Mapping[str, Any]] = {
    "urls": {"MAX_CAPTION_BYTES": MAX_CAPTION_BYTES},
    "list": {"SEARCH_FILTER": SEARCH_FILTER},
    "choose": _CHOOSE,
    "extract": _EXTRACT,
    "transcripts": _TRANSCRIPTS,
    "clips": _CLIPS,
    "balance": _BALANCE,
    "media": {**_CUTTING, **_BORDERS, **_CHECKS, **_SCENES, **_MEMBERS},
}
"""{stage: {name: a constant, or a frozen dataclass of some}}"""


def constants_by_stage() -> dict[str, dict[str, Any]]:
    """{stage: {name: value}}, the fields of a dataclass each by itself."""
    return {stage: dict(_single(constants)) for stage, constants in CONSTANTS.items()}


def _single(constants: Mapping[str, Any]) -> Iterator[tuple[str, float | str]]:
    for name, value in constants.items():
        if is_dataclass(value) and not isinstance(value, type):
            yield from ((f"{name}.{field}", number) for field, number in asdict(value).items())
        else:
            yield name, value

"""The constants in the code that change what a stage makes: run.json keeps them, and a run with others is refused.

A value that nobody has a reason to vary stands in the module that uses it, with what was measured, and is named here
under the first stage that it touches. `check_identity` treats a changed constant like another version of its stage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from manifests import sample
from pipeline.balance import next_batch
from pipeline.crawl import grown, plan, words
from pipeline.crawl.sources import site_lists
from pipeline.likeness import same, sentences, texts
from pipeline.media import scenes, speech
from pipeline.media.checks import brightness, pictures, silence
from pipeline.media.cutting import audio, exact, span
from pipeline.media.members import mel, proxy, stills
from pipeline.site import formats, tracks
from pipeline.text import clip_plan, filters, transcripts
from pipeline.text import sentences as text_sentences

_REMUX = import_module("pipeline.media.cutting.remux")  # its room gives a function of this name

CONSTANTS: Mapping[str, Mapping[ModuleType, str]] = {
    "urls": {tracks: "MAX_CAPTION_BYTES"},
    "list": {site_lists: "SEARCH_FILTER"},
    "choose": {
        plan: "FIRST_CANDIDATES MAX_CANDIDATES MAX_PER_CHANNEL MORE_CANDIDATES STEADY_HOURS CLIPS_PER_VIDEO "
        "HOURS_PER_CLIP GIVE_CLIPS MOST_GROWN",
        grown: "LEAST_CHANNELS",
        words: "LEAST_OWN SAMPLE",
    },
    "extract": {tracks: "FORMATS MAX_CAPTION_BYTES", formats: "MAX_FPS"},
    "transcripts": {transcripts: "MIN_TRACK_CONFIDENCE", filters: "LANGUAGE_WORDS"},
    "clips": {
        clip_plan: "BORDER_COSTS MAX_GAP_MS",
        filters: "TEXT_RULES",
        text_sentences: "MAX_WORDS",
    },
    "balance": {same: "LIKENESS", texts: "SAME_TALK", sentences: "SAID_AGAIN", next_batch: "MOST_TRIES"},
    "media": {
        span: "MAX_OVERRUN_MS",
        _REMUX: "MAX_PREROLL_MS AUDIO_PREROLL_MS",
        sample: "MAX_PIXELS",
        exact: "EXACT_GOP EXACT_PRESET ENCODER_THREADS",
        audio: "AAC_BITRATE",
        speech: "REACH_MS LEAST_SILENCE_MS INSIDE_MS",
        pictures: "LONGEST_GAP_MS",
        silence: "SILENT_DBFS",
        brightness: "DARKEST BRIGHTEST",
        scenes: "MIN_SCENE_MS SNAP_MS MIN_PART_MS",
        proxy: "PROXY_GOP PROXY_PRESET PROXY_CRF",
        stills: "STILL_SHORT_SIDE MIN_STILLS",
        mel: "MEL_RATE MEL_HOP_MS",
    },
}
"""{stage: {module: names in it: of numbers and texts, of a tuple of texts, or of a frozen dataclass of some}}"""


def constants_by_stage() -> dict[str, dict[str, Any]]:
    """{stage: {name: value}}, the fields of a dataclass each by itself."""
    return {stage: dict(_named(of_stage)) for stage, of_stage in CONSTANTS.items()}


def _named(of_stage: Mapping[ModuleType, str]) -> Iterator[tuple[str, float | str]]:
    for module, names in of_stage.items():
        for name in names.split():
            value = getattr(module, name)
            if is_dataclass(value) and not isinstance(value, type):
                yield from ((f"{name}.{field}", number) for field, number in asdict(value).items())
            else:
                yield name, " ".join(value) if isinstance(value, tuple) else value

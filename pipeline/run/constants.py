"""The constants in the code that change what a stage makes: run.json keeps them, and a run with others is refused.

A value that nobody has a reason to vary stands in the module that uses it, with what was measured, and here under the
first stage that it touches. `check_identity` treats a change of one like another version of its stage.
"""

import json
from dataclasses import asdict
from typing import Any

from pipeline.balance.likeness import LIKENESS
from pipeline.balance.reuploads import SAME_TALK
from pipeline.balance.sentences import SAID_AGAIN
from pipeline.balance.waves import MOST_TRIES
from pipeline.text.clip_plan import BORDER_COSTS
from pipeline.text.filters import LANGUAGE_WORDS, TEXT_RULES
from pipeline.text.sentences import MAX_WORDS
from pipeline.text.transcripts import MIN_TRACK_CONFIDENCE


def constants_by_stage() -> dict[str, dict[str, Any]]:
    """{stage: {name: value}}, in JSON's types."""
    by_stage = {
        "transcripts": {"MIN_TRACK_CONFIDENCE": MIN_TRACK_CONFIDENCE, "LANGUAGE_WORDS": LANGUAGE_WORDS},
        "clips": _of(BORDER_COSTS, TEXT_RULES) | {"sentences.MAX_WORDS": MAX_WORDS},
        "balance": _of(LIKENESS, SAME_TALK, SAID_AGAIN) | {"MOST_TRIES": MOST_TRIES},
    }
    read: dict[str, dict[str, Any]] = json.loads(json.dumps(by_stage))
    return read


def _of(*groups: Any) -> dict[str, Any]:
    """The fields of frozen dataclasses, by class and name."""
    return {f"{type(group).__name__}.{name}": value for group in groups for name, value in asdict(group).items()}

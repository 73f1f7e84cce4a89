"""The constants in the code that change what a stage makes: run.json keeps them, and a run with others is refused.

A constant that nobody has a reason to vary stands in the module that uses it, with what was measured, and here under
the first stage that it touches. `check_identity` treats a change of one like another version of its stage.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline.balance.likeness import LIKENESS
from pipeline.balance.reuploads import SAME_TALK
from pipeline.balance.sentences import SAID_AGAIN
from pipeline.balance.waves import MOST_TRIES


def constants_by_stage() -> dict[str, dict[str, Any]]:
    """{stage: {name: value}}, in JSON's types."""
    balance = _of(LIKENESS, SAME_TALK, SAID_AGAIN) | {"MOST_TRIES": MOST_TRIES}
    by_stage: dict[str, dict[str, Any]] = json.loads(json.dumps({"balance": balance}))
    return by_stage


def _of(*groups: Any) -> Mapping[str, Any]:
    """The fields of frozen dataclasses, by class and name."""
    return {f"{type(group).__name__}.{name}": value for group in groups for name, value in asdict(group).items()}

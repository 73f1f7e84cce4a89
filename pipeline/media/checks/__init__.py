"""The checks of a clip's video and audio: facts that are measured rather than believed.

A check is a function in a module of this folder, which lists it in `CHECKS`; its reason, its key in the configuration
and its default are in manifests/checks.py. A module added here is loaded automatically.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from manifests.checks import CHECKS as TABLE
from manifests.checks import CheckFacts
from manifests.plugins import load
from manifests.reasons import AnyReason
from pipeline.config.media import MediaConfig
from pipeline.media.modules import modules_of
from pipeline.media.streams import VideoTrack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.media.checks.look import Look

Audio: TypeAlias = "tuple[NDArray[np.float32] | None, int]"
"""(samples, rate): channels x samples, within -1 .. 1; None where there is no audio."""

Need = Literal["frames", "audio"]

UNKNOWN = -1.0
"""The value of a signal of which nothing was seen."""


class Measure(Protocol):
    """A measurement of a check's own, taken while the clip's frames pass."""

    def picture(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
        """Takes a small frame, twice a second: brightness (height x width) and colour (from `planes.chroma_of`)."""


class Signal(Measure, Protocol):
    """A measure whose value is a key of KEY.json; of our own checks also where they are off, and a column of rows."""

    @property
    def value(self) -> float:
        """What was measured of the clip; UNKNOWN if nothing was."""


@dataclass(slots=True)
class Seen:
    """What is known of a clip when its checks are made."""

    video: VideoTrack
    look: Look | None = None
    faults: list[str] = field(default_factory=list)
    audio: Audio = (None, 1)
    measures: Mapping[str, Measure] = field(default_factory=dict)
    heard: Mapping[str, str] = field(default_factory=dict)
    """The findings of the audio checks made during the decode pass, by the check's name."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a clip: `fault` returns what is wrong, "" for nothing; `measure` makes its own Measure, if any.

    `signal`: the column that the measure, a Signal, fills; so it is made whatever the check's action is. `enough`
    (audio checks only): whether the beginning of the audio already proves that nothing is wrong. `facts`: its entry in
    the table, of a check that another package brings.
    """

    name: str
    needs: Need
    fault: Callable[[Seen, MediaConfig], str]
    measure: Callable[[], Measure] | None = None
    signal: str = ""
    enough: Callable[[Audio, MediaConfig], bool] | None = None
    facts: CheckFacts | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about a clip: its reason, what the configuration does about it, and a detail for people."""

    reason: AnyReason
    action: str
    detail: str


@cache
def all_checks() -> tuple[tuple[CheckFacts, Check], ...]:
    """Every check with its entry in the table, in the table's order."""
    checks: dict[str, Check] = {c.name: c for module in modules_of(__name__) for c in getattr(module, "CHECKS", ())}
    return tuple((facts, checks[facts.name]) for facts in TABLE)


def checks_that_act(config: MediaConfig) -> list[tuple[CheckFacts, Check]]:
    """The checks that are not ignored, each with its facts: ours in the table's order, then those of other packages."""
    of_others = [load("checks", name) for name in type(config.checks).packages]
    checks = [(check.facts, check) for check in of_others]
    if any(getattr(config.checks, facts.name) != "ignore" for facts in TABLE):  # otherwise none has to be imported
        checks = [*all_checks(), *checks]
    return [(facts, check) for facts, check in checks if getattr(config.checks, facts.name) != "ignore"]


def checks_on(config: MediaConfig, need: Need) -> Iterator[Check]:
    """Yields the checks that are switched on and need frames, or audio."""
    return (check for _, check in checks_that_act(config) if check.needs == need)


def measures_for(config: MediaConfig) -> dict[str, Measure]:
    """Makes fresh measures for one clip: those of signals, and of the checks that are on."""
    checks = [*checks_on(config, "frames"), *(check for _, check in all_checks() if check.signal)]
    return {check.name: check.measure() for check in checks if check.measure}


def signals_in(measures: Mapping[str, Measure], config: MediaConfig) -> dict[str, float]:
    """{name: value} of a clip's signals: ours, and those of other packages' checks that are on."""
    checks = {check.signal: measures.get(check.name) for _, check in (*checks_that_act(config), *all_checks())}
    return {name: float(getattr(measure, "value", UNKNOWN)) for name, measure in checks.items() if name}


def findings(seen: Seen, config: MediaConfig) -> list[Finding]:
    """Makes the checks that are on and returns their findings, in the table's order."""
    made: list[Finding] = []
    for facts, check in checks_that_act(config):
        if check.needs == "frames" and seen.look is None:
            continue
        detail = seen.heard[check.name] if check.name in seen.heard else check.fault(seen, config)
        if detail:
            made.append(Finding(facts.reason, getattr(config.checks, facts.name), detail))
    return made

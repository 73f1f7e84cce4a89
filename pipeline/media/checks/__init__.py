"""The checks of a clip's video and audio: facts that are measured rather than believed.

A check is a function in a module of this folder, which lists it in `CHECKS`; its reason, its key in the configuration
and its default are in manifests/checks.py. A module added here is found automatically.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from manifests.checks import CHECKS as TABLE
from manifests.checks import CheckFacts
from manifests.reasons import Reason
from pipeline.config.media import MediaConfig
from pipeline.media.modules import modules_of
from pipeline.media.probe import VideoTrack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.media.checks.look import Look

Audio: TypeAlias = "tuple[NDArray[np.float32] | None, int]"
"""(samples, rate): channels x samples, within -1 .. 1; None where there is no audio."""

Need = Literal["frames", "audio"]


class Measure(Protocol):
    """A measurement of a check's own, taken while the clip's frames pass."""

    def picture(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
        """Takes a small frame, twice a second: brightness (height x width) and colour (from `planes.chroma_of`)."""


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
    """A check of a clip: `fault` returns what is wrong, "" for nothing; `measure` makes its own Measure, if it has one.

    `enough` (audio checks only): whether the beginning of the audio already proves that nothing is wrong.
    """

    name: str
    needs: Need
    fault: Callable[[Seen, MediaConfig], str]
    measure: Callable[[], Measure] | None = None
    enough: Callable[[Audio, MediaConfig], bool] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about a clip: its reason, what the configuration does about it, and a detail for people."""

    reason: Reason
    action: str
    detail: str


@cache
def all_checks() -> tuple[tuple[CheckFacts, Check], ...]:
    """Every check with its entry in the table, in the table's order."""
    found: dict[str, Check] = {c.name: c for module in modules_of(__name__) for c in getattr(module, "CHECKS", ())}
    return tuple((facts, found[facts.name]) for facts in TABLE)


def checks_on(config: MediaConfig, need: Need) -> Iterator[Check]:
    """Yields the checks that are switched on and need frames, or audio."""
    if all(getattr(config.checks, facts.name) == "ignore" for facts in TABLE):
        return  # nothing is on, so nothing has to be imported
    for facts, check in all_checks():
        if check.needs == need and getattr(config.checks, facts.name) != "ignore":
            yield check


def measures_for(config: MediaConfig) -> dict[str, Measure]:
    """Makes fresh measures for one clip, for the checks that are on and have a measure of their own."""
    return {check.name: check.measure() for check in checks_on(config, "frames") if check.measure}


def findings(seen: Seen, config: MediaConfig) -> list[Finding]:
    """Makes the checks that are on and returns their findings, in the table's order."""
    found: list[Finding] = []
    if all(getattr(config.checks, facts.name) == "ignore" for facts in TABLE):
        return found
    for facts, check in all_checks():
        action: Any = getattr(config.checks, facts.name)
        if action == "ignore" or (check.needs == "frames" and seen.look is None):
            continue
        detail = seen.heard[check.name] if check.name in seen.heard else check.fault(seen, config)
        if detail:
            found.append(Finding(facts.reason, action, detail))
    return found

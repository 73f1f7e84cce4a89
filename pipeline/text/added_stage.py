"""Stages of other packages, which decide on planned clips: each reads the `clips` that the stage before wrote, and
its own output replaces them for everything that reads `clips`.

Its name says what it works on: `clips__short`, then `clips__short__quiet`. A unit is one part of the stage before.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from manifests.members import Setting
from manifests.plugins import load
from manifests.reasons import Reason
from manifests.rows import ClipRow
from manifests.settings import Section
from manifests.stages import OTHERS
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.boundary import per_item
from pipeline.engine.work.part_units import OverParts, part_of
from pipeline.engine.work.unit import Context, Output, Reject, Resources, Unit


@dataclass(frozen=True, slots=True)
class Stage:
    """What another package brings as a stage.

    `decide(clips, settings)` is given the planned clips of one video (rows of `clips`, in their order) and the section
    `stages.NAME`. It returns each of them, changed or not, or a Reject with its `clip_id` in its place.
    """

    decide: Callable[[Sequence[ClipRow], Any], Iterable[ClipRow | Reject]]
    settings: tuple[Setting, ...] = ()
    resources: Resources = Resources(memory_bytes=2 * 1024**3)


@dataclass(frozen=True, slots=True)
class AddedStage(OverParts):
    """The stage of a package in a run. `before`: the stage whose rows it works on; `sections`: section `stages`."""

    step: str
    before: str
    sections: Section

    @property
    def name(self) -> str:
        """Its name in the output directory."""
        return f"{self.before}{OTHERS}{self.step}"

    @property
    def resources(self) -> Resources:
        """What its package asks for."""
        resources: Resources = load("stages", self.step).resources
        return resources

    @property
    def over(self) -> str:
        """What the stage before wrote in `clips`."""
        return f"clips/{self.before}"

    def unit_name(self, part: Part) -> str:
        """The name of the part's own unit: it leads to the transcript."""
        return part.unit

    def process(self, unit: Unit, context: Context) -> Output:
        """The clips that stay, and a reject for each that does not; a video without any is rejected too."""
        kept: list[ClipRow] = []
        rejects: list[Reject] = []
        rows = context.store.read_part(part_of(unit)).to_pylist()
        for video_id, clips in groupby(rows, lambda row: str(row["video_id"])):
            made = per_item(context, video_id, partial(self._decided, list(clips)))
            if isinstance(made, Reject):
                rejects.append(made)
                continue
            rejected = [clip for clip in made if isinstance(clip, Reject)]
            kept += [clip for clip in made if not isinstance(clip, Reject)]
            rejects += rejected
            if len(rejected) == len(made):
                rejects.append(Reject(Reason.NO_CLIPS, video_id, detail=f"{len(rejected)} rejected"))
        return Output(rows={"clips": kept}, rejects=rejects)

    def _decided(self, clips: list[ClipRow]) -> list[ClipRow | Reject]:
        made = list(load("stages", self.step).decide(clips, getattr(self.sections, self.step)))
        given, back = (
            sorted(clip.clip_id if isinstance(clip, Reject) else clip["clip_id"] for clip in rows)
            for rows in (clips, made)
        )
        if given != back:
            raise ValueError(f"stage {self.step} was given the clips {given} and decided on {back}")
        return made


def added_stages(sections: Section) -> list[AddedStage]:
    """The stages that a section `stages` names, in a chain, in the order of their names."""
    stages: list[AddedStage] = []
    for step in sections.packages:
        stages.append(AddedStage(step, stages[-1].name if stages else "clips", sections))
    return stages

"""report/report.json: the findings of an audit of a data set, in numbers that a program can compare with requirements.

    hdvila-pipeline audit DIR --require 'entropy>=0.95' --require 'licence_known>=0.9'

`Audit` is the file; `hdvila-pipeline report --schema` prints its JSON schema.
"""

import difflib
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from manifests.errors import UserError

AUDIT_NAME = "report/report.json"
AUDIT_VERSION = 2

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_REQUIREMENT = re.compile(r"\s*([a-z0-9_]+)\s*(>=|<=|==|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*")


class Metrics(BaseModel):
    """Numbers of the whole data set; -1 if unknown."""

    model_config = ConfigDict(frozen=True)

    clips: int = Field(description="clips in shards")
    hours: float = Field(description="hours of clips in shards")
    shards: int = Field(description="shards")
    videos: int = Field(description="videos with a clip in shards")
    channels: int = Field(description="channels with a clip in shards")
    entropy: float = Field(description="evenness of the kept clips over the categories asked for, 0 to 1")
    train_entropy: float = Field(
        description="evenness of the train split's clips over the categories asked for, 0 to 1"
    )
    val_entropy: float = Field(description="the same of the val split")
    val_categories: int = Field(description="categories that the val split has clips of")
    effective_categories: float = Field(description="exp(entropy): how many even categories the mix is worth")
    top_channel_share: float = Field(description="share of clips that the largest channel holds, 0 to 1")
    top10_channels_share: float = Field(description="share of clips that the ten largest channels hold, 0 to 1")
    effective_channels: float = Field(description="exp(entropy over channels)")
    height_min: int = Field(description="smallest short side of a clip, pixels")
    seconds_mean: float = Field(description="mean length of a clip, seconds (HD-VILA-100M: 13.4)")
    words_mean: float = Field(description="mean words of a clip (HD-VILA-100M: 32.5)")
    words_per_second_mean: float = Field(description="mean words a second")
    licence_known: float = Field(description="share of the clips whose licence is known, 0 to 1")
    creative_commons: float = Field(description="share of the clips under a Creative Commons licence, 0 to 1")
    language_top_share: float = Field(description="share of the clips in the most frequent language, 0 to 1")
    manual_captions: float = Field(description="share of the clips with captions that people wrote, 0 to 1")
    alignment_mean: float = Field(description="mean confidence of the alignment of the clips, 0 to 1")
    scene_cuts_mean: float = Field(description="mean scene cuts inside a clip, of the clips whose KEY.json was read")
    duplicates: int = Field(description="videos and clips left out because they repeat others")
    candidates: int = Field(description="videos that the crawl looked at")
    videos_missing: int = Field(description="candidates that are neither kept nor rejected")
    internal_errors: int = Field(description="videos and clips rejected by an error of this program")


class CategoryFacts(BaseModel):
    """One category; shares are of all clips, 0 to 1."""

    model_config = ConfigDict(frozen=True)

    category: str
    clips: int
    share: float
    splits: dict[str, int] = Field({}, description="clips in each split")
    asked_share: float = Field(description="share asked for; -1 where all was asked for or none")
    hd_vila_share: float = Field(description="share of HD-VILA-100M's clips, as published")


class Audit(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = AUDIT_VERSION
    name: str
    manifest_created_at: str = ""
    generation: int = 0
    shards_read: int = Field(description="shards whose rows were read: all of them")
    clips_looked_at: int = Field(description="clips whose KEY.json was read, evenly chosen where there are more")
    clips_behind: dict[str, int] = Field(
        {}, description="by subject of the distributions: clips that were counted; not all where only KEY.json says"
    )
    metrics: Metrics
    categories: list[CategoryFacts]
    lacking: list[str] = Field([], description="sentences: which split has no clip of which category")
    distributions: dict[str, dict[str, int]] = Field(description="by subject: {value: clips}, most frequent first")
    rejected: dict[str, dict[str, int]] = Field(description="videos and clips: {`stage reason`: count}")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement: `metric operator bound`."""

    metric: str
    operator: str
    bound: float

    def holds(self, metrics: Metrics) -> bool:
        """Whether the data set meets the requirement; an unknown metric (-1, or not a number) never does."""
        value = self.value(metrics)
        return not math.isnan(value) and value != -1 and _OPERATORS[self.operator](value, self.bound)

    def value(self, metrics: Metrics) -> float:
        """The metric's value."""
        return float(getattr(metrics, self.metric))

    def __str__(self) -> str:
        return f"{self.metric}{self.operator}{self.bound:g}"


def parse_requirement(text: str) -> Requirement:
    """Parses a requirement written by a person. UserError for an unknown metric suggests the nearest."""
    match = _REQUIREMENT.fullmatch(text)
    try:
        bound = float(match[3]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or math.isnan(bound):
        raise UserError(f"--require {text!r}: write it as metric, >= <= == > or <, number: 'entropy>=0.95'")
    if match[1] not in Metrics.model_fields:
        near = difflib.get_close_matches(match[1], Metrics.model_fields, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(
            f"--require {text!r}: there is no metric {match[1]}{hint}; there are {', '.join(Metrics.model_fields)}"
        )
    return Requirement(match[1], match[2], bound)


def falls_short(metrics: Metrics, requirements: Sequence[Requirement]) -> list[Requirement]:
    """The requirements that are not met."""
    return [requirement for requirement in requirements if not requirement.holds(metrics)]

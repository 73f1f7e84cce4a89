"""Settings of the balance: how much of each category is wanted, and what counts as a duplicate text."""

import difflib
from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from manifests.categories import Category, category_by_id, category_by_name, load_categories
from manifests.settings import Section, identity, operational

Unit = Literal["clips", "hours"]
Policy = Literal["equal", "hd-vila", "weights"]


class TextDuplicatesConfig(Section):
    """What counts as the same text."""

    stage: ClassVar[str] = "balance"
    reuploads: bool = identity(True, doc="leave out videos of the same duration and near-same transcript as another")
    jaccard: float = identity(
        0.8, gt=0, le=1, doc="share of word shingles in common from which two transcripts are near-same (estimated)"
    )
    duration_tolerance_s: float = identity(2.0, ge=0, doc="difference up to which two durations are the same, seconds")
    min_words: int = identity(20, ge=1, doc="transcripts shorter than this are never compared, words")
    repeated_sentences: bool = identity(True, doc="keep a sentence that a channel repeats in its videos only once")
    min_repeats: int = identity(3, ge=2, doc="videos of one channel that must hold the sentence, before it is a repeat")
    min_sentence_words: int = identity(4, ge=1, doc="shorter sentences may repeat, words")


class BalanceConfig(Section):
    """Quotas by category."""

    stage: ClassVar[str] = "balance"
    policy: Policy = identity(
        "equal",
        doc="equal: every category the same; hd-vila: shares of HD-VILA-100M's clips; weights: the shares given below",
    )
    weights: dict[str, float] = identity(
        dict, doc="policy `weights` only: share by category name or id, in any scale; one not named gets nothing"
    )
    unit: Unit = identity("hours", doc="what quotas count: clips or hours of clips")
    total: float | None = identity(
        None, gt=0, doc="total of clips or hours wanted; null: as many as the caps and the supply allow"
    )
    max_hours_per_category: float = identity(
        30_000.0, gt=0, doc="limit of each category, hours of clips (30,000 in HD-VILA-100M)"
    )
    max_channel_share: float = identity(
        1.0, gt=0, le=1, doc="largest share of its category that one channel may hold; 1: no limit"
    )
    wave_margin: float = operational(
        1.05, ge=1, le=4, doc="media asked for in a wave, as a multiple of what is expected to fill the quotas"
    )
    batch_candidates: int = identity(
        20_000,
        ge=1,
        doc="candidates per batch of media: batch k is planned once the first (k + 1) times as many have verdicts",
    )
    batch_videos: int = identity(5_000, ge=1, doc="largest number of videos in a batch of media")
    batches_under_way: int = identity(
        2,
        ge=1,
        doc="batches of media at a time; each is planned from the results of all before these. With batch_videos, "
        "enough for the workers while the longest video lasts: docs/cluster.md shows how to choose",
    )
    max_waves: int = identity(
        200, ge=1, doc="a run stops trying to fill the quotas after this many batches that are smaller than the largest"
    )
    text_duplicates: TextDuplicatesConfig = TextDuplicatesConfig()

    @field_validator("weights")
    @classmethod
    def _weights_name_categories(cls, weights: dict[str, float]) -> dict[str, float]:
        for name, weight in weights.items():
            if find_category(name) is None:
                known = [c.name for c in load_categories()]
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                hint = f"; did you mean {near[0]!r}?" if near else f"; the categories are {', '.join(known)}"
                raise ValueError(f"{name!r} is not a category{hint}")
            if not 0 <= weight < float("inf"):
                raise ValueError(f"the weight of {name!r} is {weight}; a weight is 0 or more")
        return weights

    @model_validator(mode="after")
    def _weights_go_with_their_policy(self) -> "BalanceConfig":
        if self.policy == "weights" and not any(self.weights.values()):
            raise ValueError("policy `weights` needs a weight above 0 for at least one category in `weights`")
        if self.policy != "weights" and self.weights:
            raise ValueError(f"`weights` are given, but the policy is `{self.policy}`; set policy: weights")
        return self


def find_category(name_or_id: str) -> Category | None:
    """The category that a key of `weights` refers to."""
    text = name_or_id.strip()
    return category_by_id(int(text)) if text.isdecimal() else category_by_name(text)

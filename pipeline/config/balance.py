"""Settings of the balance: how much of each category is wanted, and what counts as a duplicate text."""

import difflib
from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from manifests.categories import Category, category_by_id, category_by_name, load_categories
from manifests.settings import Section, identity

Unit = Literal["clips", "hours", "videos"]
Policy = Literal["equal", "hd-vila", "weights"]


class TextDuplicatesConfig(Section):
    """Which repeated texts are left out."""

    stage: ClassVar[str] = "balance"
    reuploads: bool = identity(
        True, doc="leave out videos with the same duration and nearly the same transcript as another"
    )
    repeated_sentences: bool = identity(
        True, doc="keep one copy of a sentence that a channel repeats across its videos"
    )


class BalanceConfig(Section):
    """Quotas by category."""

    stage: ClassVar[str] = "balance"
    policy: Policy = identity(
        "equal",
        doc="equal: the same for every category; hd-vila: HD-VILA-100M's shares; weights: the shares in "
        "balance.weights",
    )
    weights: dict[str, float] = identity(
        dict, doc="for policy weights: relative share by category name or id; categories not named get nothing"
    )
    unit: Unit = identity(
        "hours",
        doc="what quotas count: clips, hours of clips, or videos that give clips (HD-VILA-100M balances by videos)",
    )
    total: float | None = identity(
        None, gt=0, doc="clips, hours or videos wanted in total; null: as many as caps and supply allow"
    )
    max_hours_per_category: float = identity(
        30_000.0, gt=0, doc="limit per category, hours of clips (30,000 in HD-VILA-100M)"
    )
    max_channel_share: float = identity(
        1.0, gt=0, le=1, doc="largest share of its category that one channel may hold; 1: no limit"
    )
    batch_candidates: int = identity(
        20_000,
        ge=1,
        doc="most candidates between two batches of media: the first batch is planned after the first round of the "
        "crawl, and each further one once more candidates are decided on: few at first, then as many as a round has",
    )
    batch_videos: int = identity(5_000, ge=1, doc="maximum number of videos in a batch of media")
    batches_under_way: int = identity(
        2,
        ge=1,
        doc="batches of media in work at once; each is planned from the results of all batches before these, "
        "but for videos that are still made because they are much longer. Together with batch_videos it must keep the "
        "workers busy: docs/cluster.md shows how to choose",
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

"""Settings of the shards: their size, the splits, and the contents of the data set's card."""

import re
from typing import ClassVar, Literal, Self

from pydantic import field_validator, model_validator

from manifests.settings import Section, identity, operational

EXAMPLE_HOST = re.compile(r"(?i)[@/.]example\.(com|org|net)\b")
"""Names reserved for examples (RFC 2606)."""


class SplitConfig(Section):
    """How samples are divided into train, val and test. All samples of a channel (or video) go to the same split."""

    stage: ClassVar[str] = "shards"
    by: Literal["channel", "video"] = identity(
        "channel", doc="what goes into one split as a whole; duplicates stay together in any case"
    )
    val: float = identity(0.02, ge=0, lt=1, doc="share of each category's clips held out for validation, 0 to 1")
    test: float = identity(0.0, ge=0, lt=1, doc="share of each category's clips held out for testing, 0 to 1")

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError("val + test must be below 1")
        return self


class CardConfig(Section):
    """What dataset_card.md says about the data set. Nothing here changes a shard."""

    title: str = operational("Sentence clips with 720p video", doc="name for human readers")
    description: str = operational("", doc="a paragraph on what the data set is for; empty: a neutral one")
    license: str = operational(
        "other", doc="licence id of the collection as Hugging Face spells it (cc-by-4.0, other …)"
    )
    url: str = operational("", doc="page of the data set")
    citation: str = operational("", doc="how to cite the data set, where it is to be said")
    contact: str = operational(
        "", doc="where rights holders ask for removal, an address that somebody reads; empty: shards.card.url"
    )

    @field_validator("contact", "url")
    @classmethod
    def _somebody_is_there(cls, address: str) -> str:
        if EXAMPLE_HOST.search(address):
            raise ValueError("this is an example address, which nobody reads; give a real one")
        return address

    @property
    def removals(self) -> str:
        """Where to ask for removal; "" if the configuration names no contact."""
        return self.contact or self.url


class ShardsConfig(Section):
    """Size of shards, splits, and whether packs are kept."""

    stage: ClassVar[str] = "shards"
    max_bytes: int = identity(512 * 1024**2, gt=0, doc="maximum size of a shard, bytes (a single clip may exceed it)")
    max_samples: int = identity(0, ge=0, doc="maximum number of samples in a shard; 0: no limit but max_bytes")
    split: SplitConfig = SplitConfig()
    keep_packs: bool = operational(False, doc="keep packs/ after their samples are in the manifest")
    card: CardConfig = CardConfig()

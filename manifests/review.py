"""`report/review.json`: what people found who looked at clips drawn by a seed, without seeing scores and reasons.

It holds counts and no ids, so that nothing of it has to go when a video is removed.
"""

import math

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests.errors import DamagedFile
from manifests.files import Files

REVIEW_NAME = "report/review.json"
VERDICTS = {
    "right": "picture and words belong together, from the first word to the last",
    "wrong border": "the clip begins or ends at the wrong time",
    "wrong text": "the text is not what is said",
    "unrelated": "picture and words have nothing to do with each other",
    "unsure": "cannot be told",
}
"""By verdict: what it means. In the order of the keys 1, 2, …"""
Z95 = 1.959964
"""Standard deviations on either side that hold 95 % of a normal distribution."""


class Reviewed(BaseModel):
    """The clips of one category; `verdicts` counts them by verdict."""

    model_config = ConfigDict(frozen=True)

    category: str
    verdicts: dict[str, int]

    @property
    def n(self) -> int:
        """How many were judged."""
        return sum(self.verdicts.values())

    def share(self, verdict: str) -> str:
        """The share of a verdict with its 95 % interval, in per cent: "83 (55 to 95)"."""
        k = self.verdicts.get(verdict, 0)
        low, high = wilson(k, self.n)
        return f"{100 * k / self.n:.0f} ({100 * low:.0f} to {100 * high:.0f})" if self.n else ""


class Review(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True)

    asked: str = Field(description="what was drawn from, as the line of `browse`")
    seed: int
    n_drawn: int = Field(description="clips that were drawn, as evenly over the categories as there are some")
    manifest_created_at: str = ""
    by: list[str]
    at: str = Field(description="when it was signed")
    categories: list[Reviewed]

    @property
    def all(self) -> Reviewed:
        """All clips together."""
        counts = {verdict: sum(row.verdicts.get(verdict, 0) for row in self.categories) for verdict in VERDICTS}
        return Reviewed(category="all", verdicts=counts)


def read_review(files: Files) -> Review | None:
    """The review of a data set; None if there is none. DamagedFile if it is none of ours."""
    if not files.exists(REVIEW_NAME):
        return None
    try:
        return Review.model_validate(files.read_json(REVIEW_NAME))
    except ValidationError as error:
        raise DamagedFile(
            f"{files.url}/{REVIEW_NAME}: is no review ({error.error_count()} faults); delete it"
        ) from None


def wilson(k: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of which k of n were seen (Wilson 1927); (0, 1) without any."""
    if not n:
        return 0.0, 1.0
    share, z2 = k / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)

"""The result of the balance, in numbers and in words: the balance part of the manifest and of the report."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.categories import UNCATEGORISED_ID, category_name
from manifests.reasons import Reason
from pipeline.balance.quotas import MS_PER_HOUR, Quota, Quotas, from_amount
from pipeline.balance.ranking import Ranked, in_unit, spans_of
from pipeline.balance.standing import CODE_OF, Standing
from pipeline.config.balance import Unit

BALANCE_NAME = "balance.json"
FULL = "full: it has its share of the total"
REPEATS = (Reason.DUPLICATE_VIDEO, Reason.DUPLICATE_CLIP, Reason.DUPLICATE_TEXT, Reason.STOCK_INTRO)
"""Reasons that mean "the same as another"."""


@dataclass(frozen=True, slots=True)
class CategoryBalance:
    """A category's result. `asked` … `kept` are in BalanceResult.unit; `asked` -1: as much as there is.

    `planned`: what the transcripts promise; `reserve`: the part of it that was not fetched. `made`: what exists after
    fetching, checks and duplicates. `quota`: the result of water-filling. `binding`: what kept it from more; `why`: the
    same as a sentence.
    """

    category_id: int
    category: str
    asked: float
    planned: float
    reserve: float
    made: float
    quota: float
    kept: float
    videos: int
    videos_kept: int
    clips_kept: int
    hours_kept: float
    binding: str
    why: str


@dataclass(frozen=True, slots=True)
class BalanceResult:
    """The result for all categories.

    Entropies are normalised to 0 … 1 by the number of categories asked for; `effective` categories are exp(entropy): n
    even categories count as n. `before`: planned clips, `after`: kept ones.
    """

    unit: str
    total_asked: float
    total_kept: float
    clips_kept: int
    hours_kept: float
    entropy_before: float
    entropy_after: float
    effective_categories_before: float
    effective_categories_after: float
    categories: tuple[CategoryBalance, ...]

    def document(self) -> dict[str, object]:
        """The document for JSON: balance.json, and `balance` in manifest.json."""
        return {**asdict(self), "categories": [asdict(c) for c in self.categories]}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "BalanceResult":
        """The result from a `document()`."""
        return cls(**{**document, "categories": tuple(CategoryBalance(**c) for c in document["categories"])})


def entropy(amounts: Iterable[float]) -> float:
    """Shannon entropy of a distribution over categories, in nats; 0 if there is nothing."""
    sizes = [a for a in amounts if a > 0]
    whole = sum(sizes)
    return -sum(a / whole * math.log(a / whole) for a in sizes) + 0.0


def normalised_entropy(amounts: Sequence[float]) -> float:
    """Entropy divided by its largest value for that many categories: 1 is even, 0 is all in a single category."""
    return entropy(amounts) / math.log(len(amounts)) if len(amounts) > 1 else 0.0


def result_of(
    ranked: Ranked, quotas: Quotas, current: Standing, clips: NDArray[np.int64], ms: NDArray[np.int64]
) -> BalanceResult:
    """The result for ranked candidates, given what exists of each (`current`) and what is kept (`clips`, `ms`) [N].

    A candidate rejected before any media was made (for its transcript, or as a known repeat) promises nothing.
    """
    planned = np.where((current.reason != 0) & (current.row < 0), 0, ranked.planned(quotas.unit))
    spans = dict(spans_of(ranked.category_id))
    nothing = slice(0, 0)
    is_open = current.is_open
    repeats = np.isin(current.reason, [CODE_OF[reason] for reason in REPEATS])
    rows = []
    named = quotas.by_category.keys() - {UNCATEGORISED_ID}
    for category_id in sorted({*named, *spans}, key=lambda i: (i < 0, i)):
        span = spans.get(category_id, nothing)
        rows.append(
            _category(
                category_id,
                quotas,
                planned[span],
                current.amount(quotas.unit)[span],
                is_open[span],
                clips[span],
                ms[span],
                int(repeats[span].sum()),
            )
        )
    asked = [r for r in rows if (q := quotas.by_category.get(r.category_id)) is not None and q.weight > 0]
    before, after = [r.planned for r in asked], [r.kept for r in asked]
    return BalanceResult(
        unit=quotas.unit,
        total_asked=-1.0 if quotas.total is None else from_amount(quotas.total, quotas.unit),
        total_kept=sum(r.kept for r in rows),
        clips_kept=int(clips.sum()),
        hours_kept=int(ms.sum()) / MS_PER_HOUR,
        entropy_before=round(normalised_entropy(before), 6),
        entropy_after=round(normalised_entropy(after), 6),
        effective_categories_before=round(math.exp(entropy(before)), 4) if any(before) else 0.0,
        effective_categories_after=round(math.exp(entropy(after)), 4) if any(after) else 0.0,
        categories=tuple(rows),
    )


def _category(
    category_id: int,
    quotas: Quotas,
    planned: NDArray[np.int64],
    made: NDArray[np.int64],
    is_open: NDArray[np.bool_],
    clips: NDArray[np.int64],
    ms: NDArray[np.int64],
    n_repeats: int,
) -> CategoryBalance:
    unit = quotas.unit
    kept = int(in_unit(unit, clips, ms).sum())
    quota = quotas.by_category.get(category_id)
    asked = -1.0 if quota is None or quota.asked is None else from_amount(quota.asked, unit)
    binding, why = _why(quota, unit, n_open=int(is_open.sum()), n_videos=len(clips), n_repeats=n_repeats)
    return CategoryBalance(
        category_id=category_id,
        category=category_name(category_id),
        asked=asked,
        planned=from_amount(int(planned.sum()), unit),
        reserve=from_amount(int(planned[is_open].sum()), unit),
        made=from_amount(int(made.sum()), unit),
        quota=from_amount(quota.quota if quota else kept, unit),
        kept=from_amount(kept, unit),
        videos=len(clips),
        videos_kept=int(np.count_nonzero(clips)),
        clips_kept=int(clips.sum()),
        hours_kept=int(ms.sum()) / MS_PER_HOUR,
        binding=binding,
        why=why,
    )


def _why(quota: Quota | None, unit: Unit, *, n_open: int, n_videos: int, n_repeats: int) -> tuple[str, str]:
    """(what kept a category from more, the same as a sentence)."""
    if quota is None or quota.binding == "none":
        return "none", "no policy applies: all that exists is kept"
    if quota.binding == "supply":
        return "supply", _supply_sentence(quota, n_open, n_videos, n_repeats)
    cap = f"{from_amount(quota.channel_cap or 0, unit):,.4g} {unit}"
    sentence = {
        "share": FULL,
        "hours_cap": "full: it has reached the limit of hours for a category",
        "channel_share": f"too few channels: none may hold more than {cap}; more are needed",
        "already_kept": "an earlier generation holds more than its share; what is in shards stays",
        "left_over": "has no weight: it gets what the categories leave of the total",
        "not_asked": "not asked for: its weight is 0, or it is not crawled",
    }
    return quota.binding, sentence[quota.binding]


def _supply_sentence(quota: Quota, n_open: int, n_videos: int, n_repeats: int) -> str:
    if not n_videos:
        return "nothing found: no source has a video of it; add one that has"
    if n_open:
        return FULL if quota.has_share else f"not full yet: {n_open:,} candidates in reserve were not fetched"
    if quota.has_share:
        return "full; no surplus for other categories"
    tried = "its one candidate was" if n_videos == 1 else f"all {n_videos:,} candidates were"
    if n_repeats:
        return f"ran dry: {tried} looked at, but {n_repeats:,} repeat others; more is needed, from other channels"
    return f"ran dry: {tried} tried; more videos are needed"

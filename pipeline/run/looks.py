"""How many candidates a crawl looks at as its rounds plan it, how many days that takes, and how far its sources reach.

All of it is for an average world, in which every candidate yields as many clips as any other.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config.crawl import CrawlConfig, wanted_categories
from pipeline.crawl.plan import (
    ANY,
    MAX_PER_CHANNEL,
    MAX_ROUNDS,
    CrawlFacts,
    Wanted,
    doubled,
    needs_of,
    sources_of,
)
from pipeline.crawl.sources import LISTS
from pipeline.site.data_api import MOST_IDS


@dataclass(frozen=True, slots=True)
class Looks:
    """What asking for candidates and media takes. `n_decided`: candidates that the Data API decides, which cost no
    look.
    """

    n_candidates: float
    n_decided: float
    n_fetches: float
    days: float

    @property
    def n_at_the_site(self) -> float:
        """Candidates that an identity looks at."""
        return self.n_candidates - self.n_decided


def planned_looks(config: CrawlConfig, wanted: Wanted, per_candidate: float) -> dict[int, int]:
    """The candidates that the rounds take until no category needs more, by category: for the quotas and the reserve.

    `per_candidate`: what each adds to the supply, in the quotas' unit.
    """
    asked = dict.fromkeys(wanted_categories(config), 0)
    for n_rounds in range(MAX_ROUNDS):
        supply = {category: n * per_candidate for category, n in asked.items()}
        needs = needs_of(config, CrawlFacts(supply=supply, asked=asked), wanted)
        if not needs:
            break
        share = min(1.0, doubled(n_rounds) / sum(needs.values()))
        for category, need in needs.items():
            asked[category] += math.ceil(need * share)
    return asked


def looks_of(
    n_candidates: float, n_fetches: float, videos_per_day: float, *, api_share: float, api_units: float
) -> Looks:
    """What identities take for this many candidates and fetches at their pace.

    `api_share`: the share of the candidates that it looks up which the Data API decides; 0.0 without a key. Once its
    units of a day are used up, candidates are looked at without it, so that no identity waits.
    """
    looked_up_a_day = api_units * MOST_IDS
    days = (n_candidates * (1 - api_share) + n_fetches) / videos_per_day
    if api_share and days * looked_up_a_day < n_candidates:
        days = (n_candidates + n_fetches) / (videos_per_day + looked_up_a_day * api_share)
    return Looks(n_candidates, api_share * min(n_candidates, days * looked_up_a_day), n_fetches, days)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the configured lists of the site go: at most, since lists repeat each other and channels are shorter."""

    n_lists: int
    n_results: int
    n_candidates: float
    """With those of the channels of kept videos, where the crawl grows from them."""


def reach_of(config: CrawlConfig, candidates_a_video: float) -> dict[int, Reach]:
    """The reach of each wanted category's sources, with those of any category under ANY; {} if a file is among the
    sources, whose length is counted elsewhere.
    """
    if LISTS in config.sources:
        return {}
    reach = {}
    for category in (ANY, *wanted_categories(config)):
        n_results = sum(most for _, most in sources_of(category, config))
        grown = MAX_PER_CHANNEL * n_results / candidates_a_video if config.grow_from_channels else 0.0
        reach[category] = Reach(len(sources_of(category, config)), n_results, n_results + grown)
    return reach


def n_within_reach(reach: Mapping[int, Reach], looks: Mapping[int, int]) -> int:
    """How many categories have enough candidates within the reach of their sources."""
    spare, n_enough = reach[ANY].n_candidates, 0
    for category, n in sorted(looks.items(), key=lambda item: item[1] - reach[item[0]].n_candidates):
        spare -= max(0.0, n - reach[category].n_candidates)
        n_enough += spare >= 0
    return n_enough

"""How much a run handles, how many candidates its rounds look at, how many days that takes, how far its sources reach.

All of it is for an average world, in which every candidate yields as many clips as any other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pipeline.balance.quotas import balance_of
from pipeline.config import RunConfig
from pipeline.config.crawl import CrawlConfig, wanted_categories
from pipeline.config.sources import ListsConfig
from pipeline.crawl import plan
from pipeline.crawl.sources import LISTS
from pipeline.crawl.sources.lists import Head, heads_of
from pipeline.run.aims import aim
from pipeline.run.costs import read_costs
from pipeline.site.data_api import MOST_IDS
from pipeline.site.rates import Pace


@dataclass(frozen=True, slots=True)
class Looks:
    """What asking for candidates and media takes. `n_decided`: candidates that the Data API decides, which cost no
    look. `n_fetches`: of media that need a look of their own.
    """

    n_candidates: float
    n_decided: float
    n_fetches: float
    days: float

    @property
    def n_at_the_site(self) -> float:
        """Candidates that an identity looks at."""
        return self.n_candidates - self.n_decided


@dataclass(frozen=True, slots=True)
class Size:
    """The amounts a run handles. `n_named`: about how many videos its lists name; None if others may be found too."""

    n_candidates: float
    n_videos: float
    n_clips: float
    clip_hours: float
    source_hours: float
    n_named: int | None
    has_texts: bool = False
    """Whether all of it comes with the texts of its clips, so that no captions are fetched."""
    looks: Mapping[int, int] = field(default_factory=dict)
    """Candidates by category, as the rounds plan them; {} if no total is asked for."""


def planned_looks(config: CrawlConfig, wanted: plan.Wanted, per_candidate: float) -> dict[int, int]:
    """The candidates that the rounds take until no category needs more, by category: for the quotas and the reserve.

    `per_candidate`: what each adds to the supply, in the quotas' unit.
    """
    asked = dict.fromkeys(wanted_categories(config), 0)
    an_hour = plan.looks_an_hour(config)
    for round_ in count():
        supply = {category: n * per_candidate for category, n in asked.items()}
        needs = plan.needs_of(config, plan.CrawlFacts(supply=supply, asked=asked), wanted)
        if not needs:
            break
        share = min(1.0, plan.most_candidates(round_, an_hour) / sum(needs.values()))
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
    n_with_channels: float
    """With those of the channels of kept videos, where the crawl grows from them."""
    n_with_words: float
    """With those of searches for words of kept videos too."""


def reach_of(config: CrawlConfig, candidates_a_video: float) -> dict[int, Reach]:
    """The reach of each wanted category's sources, with those of any category under ANY; {} if a file is among the
    sources, whose length is counted elsewhere.
    """
    if LISTS in config.sources:
        return {}
    a_result = 1 + (plan.MAX_PER_CHANNEL / candidates_a_video if config.grow_from_channels else 0.0)
    sources = {category: plan.sources_of(category, config) for category in (plan.ANY, *wanted_categories(config))}
    reach = {}
    for category, lists in sources.items():
        n_results = sum(most_of_list for _, most_of_list in lists)
        may_grow = config.grow_from_words and category != plan.ANY and (lists or sources[plan.ANY])
        n_grown = plan.MOST_GROWN * config.max_per_query if may_grow else 0
        reach[category] = Reach(len(lists), n_results, n_results * a_result, (n_results + n_grown) * a_result)
    return reach


def n_within_reach(n_candidates: Mapping[int, float], looks: Mapping[int, int]) -> int:
    """How many categories have enough candidates among so many of each, and of any."""
    spare, n_enough = n_candidates[plan.ANY], 0
    for category, n in sorted(looks.items(), key=lambda item: item[1] - n_candidates[item[0]]):
        spare -= max(0.0, n - n_candidates[category])
        n_enough += spare >= 0
    return n_enough


def size_of(config: RunConfig) -> Size | None:
    """The amounts for what the balance asks for, at HD-VILA-100M's yield, and for no more than lists name where all
    videos come from lists; None if neither is known. Candidates are looked at for the reserve too.
    """
    cost = {name: cost.value for name, cost in read_costs().items()}
    heads = [] if config.crawl.sources != (LISTS,) or lists_not_there(config) else heads_of(config.crawl.lists)
    # HD-VILA-100M's own files name the videos that it kept; how many of them are gone by now is not known
    is_kept = bool(heads) and all(head.form == "hd-vila" for head in heads)
    candidates_a_video = 1.0 if is_kept else cost["candidates_a_video"]
    named = sum(head.n_videos for head in heads) if heads else None
    sizes = [_videos_wanted(config, cost), None if named is None else named / candidates_a_video]
    if sizes == [None, None]:
        return None
    n_videos = min(n for n in sizes if n is not None)
    looks = _planned_looks(config, candidates_a_video, cost)
    planned = sum(looks.values()) if looks else n_videos * candidates_a_video
    clip_hours = n_videos * cost["clip_hours_a_video"]
    return Size(
        n_candidates=planned if named is None else min(planned, named),
        n_videos=n_videos,
        n_clips=n_videos * cost["clips_a_video"],
        clip_hours=clip_hours,
        source_hours=clip_hours * cost["source_hours_a_clip_hour"],
        n_named=named,
        has_texts=bool(heads) and _have_texts(heads, config.crawl.lists),
        looks=looks,
    )


def _have_texts(heads: Sequence[Head], lists: ListsConfig) -> bool:
    """Whether lists bring all texts."""
    return bool(lists.texts) or all(head.has_texts for head in heads)


def _planned_looks(config: RunConfig, candidates_a_video: float, cost: dict[str, float]) -> dict[int, int]:
    balance = balance_of(config)
    if balance.total is None:
        return {}
    wanted = aim(balance, {})
    return planned_looks(config.crawl, wanted, _of_a_video(cost)[wanted.unit] / candidates_a_video)


def _videos_wanted(config: RunConfig, cost: dict[str, float]) -> float | None:
    balance = balance_of(config)
    if balance.total is None:
        return None
    wanted = sum(aim(balance, {}).quotas.values())  # less than the total if a category's cap applies
    return wanted / _of_a_video(cost)[balance.unit]


def _of_a_video(cost: Mapping[str, float]) -> dict[str, float]:
    """What a video that gives clips adds, by the unit of the balance."""
    return {"hours": cost["clip_hours_a_video"], "clips": cost["clips_a_video"], "videos": 1.0}


def looks_for(size: Size, pace: Pace, *, has_key: bool) -> Looks:
    """What asking takes at a pace: each candidate is looked at once, and again for media that is fetched late."""
    cost = {name: cost.value for name, cost in read_costs().items()}
    n_again = size.n_videos * (1 - share_in_time(size.n_candidates, pace.videos_per_hour, cost["hours_in_time"]))
    api_share = cost["api_decided_of_candidates"] if has_key else 0.0
    units = cost["api_units_a_day"]
    return looks_of(size.n_candidates, n_again, 24 * pace.videos_per_hour, api_share=api_share, api_units=units)


def share_in_time(n_candidates: float, an_hour: float, hours: float) -> float:
    """The share of media that is fetched while what the look found of it lasts: a batch is planned when its round is
    over, so of a round only the last `hours` are in time.
    """
    in_time, left, number = 0.0, n_candidates, 0
    while left > 0:
        of_round = min(left, plan.most_candidates(number, an_hour))
        in_time += min(of_round, hours * an_hour)
        left, number = left - of_round, number + 1
    return in_time / n_candidates if n_candidates else 1.0


def lists_not_there(config: RunConfig) -> list[str]:
    """The configured lists on this machine's disk that are not there yet."""
    files = config.crawl.lists.files if LISTS in config.crawl.sources else ()
    return [file for file in files if "://" not in file and not Path(file).exists()]

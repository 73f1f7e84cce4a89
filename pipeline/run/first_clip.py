"""When a new crawl has its first clip, by its plan and its pace: for `estimate`, `run --dry-run` and `doctor`."""

from collections.abc import Mapping

from pipeline.balance.quotas import balance_of
from pipeline.config import RunConfig
from pipeline.crawl.plan import CrawlFacts, plan_round
from pipeline.crawl.sources import LISTS
from pipeline.run.aims import aim
from pipeline.run.costs import read_costs
from pipeline.site.politeness import JITTER
from pipeline.site.rates import pace_of


def first_clip_s(config: RunConfig, videos_per_hour: Mapping[str, float]) -> float:
    """Seconds from the first request to the first clip, if the first round finds a video that gives one.

    The first round is listed and looked at as a whole; then a video is fetched and cut. Each listing, look and fetch
    waits for its turn, except what the Data API decides. `videos_per_hour`: by identity.
    """
    cost = {name: cost.value for name, cost in read_costs().items()}
    politeness = config.crawl.politeness
    plan = plan_round(config.crawl, CrawlFacts(), aim(balance_of(config), {}))
    has_key = bool(config.crawl.data_api.key)
    asks = [ask for ask in plan.asks if ask.source != LISTS]
    at_the_site = 1 - cost["api_decided_of_candidates"] if has_key else 1.0
    n_turns = len(asks) + sum(plan.n_candidates.values()) * at_the_site + 1
    asking_s = n_turns * 3600 / pace_of(politeness, videos_per_hour).videos_per_hour
    n_pages = sum(1 + ask.up_to * cost["list_requests_a_listed"] for ask in asks)
    listing_s = n_pages * 60 / politeness.identity_requests_per_minute.get("list", 60.0) / len(videos_per_hour)
    source_hours = cost["clip_hours_a_video"] * cost["source_hours_a_clip_hour"]
    return max(asking_s, listing_s) * (1 + JITTER / 2) + source_hours * cost["media_cpu_s_a_source_hour"]


def first_clip_line(config: RunConfig, videos_per_hour: Mapping[str, float]) -> str:
    """The same as words."""
    seconds = first_clip_s(config, videos_per_hour)
    size = f"{seconds / 60:,.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:,.1f} h"
    return f"first clip: about {size} after the first request"

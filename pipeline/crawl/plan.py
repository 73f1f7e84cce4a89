"""What the next round of the crawl asks: a pure function of what earlier rounds committed.

A category that is short asks for as many videos as it needs at its yield so far: first those that are listed already,
then more from its sources. Each source is listed four times as deep every time; when a category's sources are
exhausted, the channels of its kept videos become new sources, and searches for words of these videos (`words`). Rounds
begin small and grow slowly, so that there are clips on the first day and on each day after it, and little is asked for
at a yield that nobody has seen yet.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from manifests.categories import category_by_id
from manifests.stages import STAGES
from pipeline.config.crawl import CrawlConfig, wanted_categories
from pipeline.crawl.sources import GROWN, LISTS, SEARCHES, Ask
from pipeline.site.api_quota import MOST_IDS
from pipeline.site.rates import pace_of

ANY = -1
FIRST_DEPTH = 60
"""Three pages of a search: enough to see how good a source is."""

PAGE = 20
"""Results of a page of a search."""
DEEPER = 4
LIST_PART = 50_000
"""Videos expected of a part of a list, whose size `lists.VIDEOS_A_PART` bounds."""
SOURCE_TRIES = 3
LEAST_NEW_SHARE = 0.05
BATCH_VIDEOS = 10
"""Of one extraction: a kill repeats at most these look-ups. With the Data API, as many as a request takes: it decides
most of them.
"""
FIRST_CANDIDATES, MAX_CANDIDATES = 60, 50_000
"""Of the first round, and of any. The first, with a search for each category, is half an hour of one identity at its
default rate.
"""
STEADY_HOURS = 3.2
"""What a round takes all identities together once rounds have doubled so far: media is planned when a round is over,
and the addresses that its looks found last five hours. Shorter, most identities of a large pool would wait for the last
extraction of each round.
"""
MORE_CANDIDATES = 50
"""By which a round of a large crawl may be larger than the last: then a round is about ten times the root of all the
candidates before it, and 17 million take 840 rounds.
"""
MAX_PER_CHANNEL = 200
"""Videos listed of a channel that the crawl discovered itself: a category is not to become a few channels."""
LEAST_GROWN, MOST_GROWN_AT_ONCE, MOST_GROWN = 10, 200, 2_000
"""Searches that are grown for a category: at a time, at least and at most, and in the whole crawl."""
CLIPS_PER_VIDEO, HOURS_PER_CLIP, GIVE_CLIPS = 8.0, 13.5 / 3600, 0.25
"""Expected of a candidate, many of which are rejected, until there are results: clips, their length, and the share that
gives any; length and share are about HD-VILA-100M's.
"""
PRIOR_WEIGHT = 5.0
"""The expected yield has the weight of this many videos actually looked at."""

SourceKey = tuple[str, str, int]
"""Source, query, wanted category."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The goal of the crawl: quotas by category id, in clips, hours of clips, or videos."""

    quotas: Mapping[int, float]
    unit: str = "clips"  # clips | hours | videos


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a source has given so far."""

    up_to: int = 0
    n_listed: int = 0
    cursor: int = 0
    exhausted: bool = False
    failures: int = 0  # consecutive listings that ended early
    reason: str = ""
    empty_in: int = -1  # round of the last listing without any result
    n_kept: int = 0


@dataclass(frozen=True, slots=True)
class CrawlFacts:
    """What earlier rounds committed, as far as the plan needs it."""

    round: int = 0
    supply: Mapping[int, float] = field(default_factory=dict)  # by category, in the quotas' unit
    asked: Mapping[int, int] = field(default_factory=dict)  # videos looked at, by wanted category
    backlog: Mapping[int, int] = field(default_factory=dict)  # listed, not looked at
    sources: Mapping[SourceKey, SourceFacts] = field(default_factory=dict)
    last_found: int = -1  # the last round in which a search had results
    channels: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # of kept videos, the most frequent first
    grown: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # numbers of grown searches, oldest first
    due: tuple[tuple[str, int], ...] = ()  # (video id, attempt) that were deferred and are due
    requested: tuple[tuple[str, int], ...] = ()  # (video id, attempt) that a person asked to try again
    requests: tuple[str, ...] = ()  # the retry requests that `requested` came from
    n_waiting: int = 0  # deferred, not due yet
    next_due: str = ""  # when the first of them is due, ISO 8601


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """One round: listings to make, how many videos to look at per wanted category, and which to try again."""

    round: int
    asks: tuple[Ask, ...] = ()
    n_candidates: Mapping[int, int] = field(default_factory=dict)
    due: tuple[tuple[str, int], ...] = ()
    requests: tuple[str, ...] = ()
    batch: int = field(default=BATCH_VIDEOS, repr=False)
    """Candidates of one extraction: recorded, since a key may come or go while the round is under way."""

    @property
    def unit_of_choice(self) -> str:
        """The name of the unit that chooses this round's candidates."""
        return f"{self.round:05d}-{digest(self)}"

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.asks and not self.due and not any(self.n_candidates.values())


def digest(planned: RoundPlan | Ask) -> str:
    """What the name of a unit says of its content: the same for an equal plan or ask."""
    return hashlib.sha256(repr(planned).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class CategoryState:
    """The state of a category. `state`: full, going, waits or dry."""

    category_id: int
    quota: float
    supply: float
    state: str
    why: str = ""


def most_candidates(round_: int, looks_an_hour: float) -> int:
    """The most candidates of a round, at the pace of all identities."""
    doubled = FIRST_CANDIDATES << min(round_, MAX_CANDIDATES.bit_length())
    steady = round(min(STEADY_HOURS * looks_an_hour, MAX_CANDIDATES))
    return min(doubled, max(steady, MORE_CANDIDATES * round_), MAX_CANDIDATES)


def looks_an_hour(config: CrawlConfig) -> float:
    """The pace of all identities together."""
    return pace_of(config.politeness, {one.name: one.videos_per_hour for one in config.pool()}).videos_per_hour


def plan_round(config: CrawlConfig, facts: CrawlFacts, wanted: Wanted) -> RoundPlan:
    """Plans the next round; an empty round if nothing more can or need be done. The same facts give the same plan."""
    needs = _needs_of_round(config, facts, wanted)
    asks: list[Ask] = []
    n_candidates: dict[int, int] = {}
    total, listed = sum(needs.values()), _Listed.of(facts)
    from_any = _fill(ANY, total, config, facts, asks, listed) if total else 0
    if from_any:
        n_candidates[ANY] = min(total, from_any)
    left = 1 - n_candidates.get(ANY, 0) / max(1, total)
    for category, need in sorted(needs.items(), key=lambda item: (-_gap(item[0], facts, wanted), item[0])):
        share = math.ceil(need * left)
        if share and (got := _fill(category, share, config, facts, asks, listed)):
            n_candidates[category] = min(share, got)
    asks += _known_good(facts, asks)
    again = dict(facts.requested) | (dict(facts.due) if needs else {})
    n_candidates = dict(sorted(n_candidates.items()))  # as it is read again: the unit of choice is named by it
    batch = MOST_IDS if config.data_api.key else BATCH_VIDEOS
    return RoundPlan(facts.round, tuple(asks), n_candidates, tuple(sorted(again.items())), facts.requests, batch)


def _known_good(facts: CrawlFacts, asks: list[Ask]) -> list[Ask]:
    """The best search so far, one page of it, if the last round had one that found nothing, and this round has none
    that is known to find something: whether it does tells words without hits from a page that yt-dlp no longer knows.
    """
    found = {key: known for key, known in facts.sources.items() if key[0] == "search" and known.n_listed}
    searches = [(ask.source, ask.query, ask.wanted_category_id) for ask in asks if ask.source in SEARCHES]
    was_empty = max((known.empty_in for known in facts.sources.values()), default=-1) == facts.round - 1 >= 0
    if not found or not searches or not was_empty or not found.keys().isdisjoint(searches):
        return []
    source, query, category = min(found, key=lambda key: (-found[key].n_kept, key))
    return [Ask(source, query, category, PAGE)]


def _needs_of_round(config: CrawlConfig, facts: CrawlFacts, wanted: Wanted) -> dict[int, int]:
    needs = needs_of(config, facts, wanted)
    most = most_candidates(facts.round, looks_an_hour(config))
    budget = min(1.0, most / max(1, sum(needs.values())))
    return {category: math.ceil(need * budget) for category, need in needs.items()}


def searches_to_grow(config: CrawlConfig, facts: CrawlFacts, wanted: Wanted, plan: RoundPlan) -> dict[int, int]:
    """How many searches to grow by category: for those whose configured sources are at their end, and whose other ones
    give less than the round could look at. {} while sources of any category are left.
    """
    if not _may_grow(config, config.grow_from_words) or plan.n_candidates.get(ANY):
        return {}
    n_wanted: dict[int, int] = {}
    for category, need in _needs_of_round(config, facts, wanted).items():
        lacking, grown = need - plan.n_candidates.get(category, 0), len(facts.grown.get(category, ()))
        if lacking > 0 and grown < MOST_GROWN and not _open_of(sources_of(category, config), facts):
            n = min(MOST_GROWN_AT_ONCE, max(LEAST_GROWN, math.ceil(lacking / FIRST_DEPTH)))
            n_wanted[category] = min(n, MOST_GROWN - grown)
    return n_wanted


def needs_of(config: CrawlConfig, facts: CrawlFacts, wanted: Wanted) -> dict[int, int]:
    """How many more videos each short category has to look at, judging by its yield so far."""
    prior = prior_per_video(wanted.unit)
    needs = {}
    n_any, categories = facts.asked.get(ANY, 0), wanted_categories(config)
    for category in categories:
        supply = facts.supply.get(category, 0.0)
        short = wanted.quotas.get(category, 0.0) * (1 + config.reserve) - supply
        if short > 0:
            looked_at = facts.asked.get(category, 0) + n_any / len(categories)
            per_video = (supply + prior * PRIOR_WEIGHT) / (looked_at + PRIOR_WEIGHT)
            needs[category] = math.ceil(short / per_video) + 1
    return needs


def prior_per_video(unit: str) -> float:
    """Clips, hours of clips, or videos expected of a candidate until there are results."""
    return {"clips": CLIPS_PER_VIDEO, "hours": CLIPS_PER_VIDEO * HOURS_PER_CLIP, "videos": GIVE_CLIPS}[unit]


def _gap(category: int, facts: CrawlFacts, wanted: Wanted) -> float:
    """How far a category is from its quota, as a share of the quota."""
    quota = wanted.quotas.get(category, 0.0)
    return 1 - facts.supply.get(category, 0.0) / quota if quota else 0.0


@dataclass(frozen=True, slots=True)
class _Listed:
    """What all listings so far gave, added up once for a plan: there may be hundreds of thousands of sources."""

    results: Mapping[int, int]
    """By wanted category: the number of results."""
    longest: Mapping[str, int]
    """By source: the most results of a list that came to its end."""

    @classmethod
    def of(cls, facts: CrawlFacts) -> "_Listed":
        results, longest = Counter[int](), dict[str, int]()
        for (source, _, category), known in facts.sources.items():
            results[category] += known.n_listed
            if known.exhausted:
                longest[source] = max(longest.get(source, 0), known.n_listed)
        return cls(results, longest)


def _fill(category: int, need: int, config: CrawlConfig, facts: CrawlFacts, asks: list[Ask], listed: _Listed) -> int:
    """Adds asks until `need` videos are expected; returns how many can be looked at this round, at most."""
    expected = facts.backlog.get(category, 0)
    for ask in open_asks(category, config, facts):
        if expected >= need:
            break
        asks.append(ask)
        expected += _expected_gain(ask, facts, listed)
    return expected


def _expected_gain(ask: Ask, facts: CrawlFacts, listed: _Listed) -> int:
    """How many new videos a listing is expected to bring, judging by sources of its kind and category."""
    if ask.source == LISTS:
        return ask.up_to
    n_results = listed.results.get(ask.wanted_category_id, 0)
    n_videos = facts.asked.get(ask.wanted_category_id, 0) + facts.backlog.get(ask.wanted_category_id, 0)
    new_share = max(LEAST_NEW_SHARE, min(1.0, n_videos / n_results)) if n_results else 1.0
    before = facts.sources.get((ask.source, ask.query, ask.wanted_category_id), SourceFacts())
    length = min(ask.up_to, listed.longest.get(ask.source, ask.up_to)) - before.n_listed
    return max(1, round(length * new_share))


def open_asks(category: int, config: CrawlConfig, facts: CrawlFacts) -> list[Ask]:
    """The next listing of each source of a category that is not exhausted: best yield first, new channels last."""
    configured = sources_of(category, config)
    grown = _grown_sources(category, config, facts, {key for key, _ in configured})
    own, new = _open_of(configured, facts), _open_of(grown, facts)
    return [_next_ask(*one) for one in (*own, *new)]


def _open_of(sources: list[tuple[SourceKey, int]], facts: CrawlFacts) -> list[tuple[SourceKey, SourceFacts, int]]:
    """Those that are not exhausted, with the most to list of each: best yield first."""
    found = []
    for key, most in sources:
        known = facts.sources.get(key, SourceFacts())
        is_full = key[0] != LISTS and known.n_listed >= most
        # where other searches find something, the page's layout is known, and this one has no hits
        has_no_hits = not known.n_listed and 0 <= known.empty_in <= facts.last_found
        if not (known.exhausted or known.failures >= SOURCE_TRIES or is_full or has_no_hits):
            found.append((key, known, most))
    return sorted(found, key=lambda one: -_yield(one[1]))


def _yield(known: SourceFacts) -> float:
    """Kept videos per listed video; a source that was never asked counts as perfect."""
    return known.n_kept / known.n_listed if known.n_listed else 1.0


def _next_ask(key: SourceKey, known: SourceFacts, most: int) -> Ask:
    source, query, category = key
    if source == LISTS:
        return Ask(source, query, category, LIST_PART, known.cursor, known.failures + 1)
    depth = known.up_to if known.failures else max(FIRST_DEPTH, known.up_to * DEEPER)
    return Ask(source, query, category, min(depth, most), 0, known.failures + 1)


def sources_of(category: int, config: CrawlConfig) -> list[tuple[SourceKey, int]]:
    """The configured sources of a category, in the order of the configuration, each with the most to list."""
    keys: list[SourceKey] = []
    if "search" in config.sources:
        keys += [("search", query, category) for query in queries_of(category, config)]
    if "channel" in config.sources:
        keys += [("channel", channel, category) for channel in config.channels.get(category, ())]
    if "playlist" in config.sources:
        keys += [("playlist", playlist, category) for playlist in config.playlists.get(category, ())]
    if LISTS in config.sources and category == ANY:
        keys += [(LISTS, file, ANY) for file in config.lists.files]
    return [(key, config.max_per_query) for key in keys]


def queries_of(category: int, config: CrawlConfig) -> tuple[str, ...]:
    """The search words of a category: configured ones, else the built-in seeds."""
    if category in config.queries or category == ANY:
        return config.queries.get(category, ())
    built_in = category_by_id(category)
    return built_in.queries if built_in else ()


def _grown_sources(
    category: int, config: CrawlConfig, facts: CrawlFacts, configured: set[SourceKey]
) -> list[tuple[SourceKey, int]]:
    if category == ANY:
        return []
    keys: list[tuple[SourceKey, int]] = []
    if _may_grow(config, config.grow_from_channels):
        channels = [("channel", channel, category) for channel in facts.channels.get(category, ())]
        keys += [(key, MAX_PER_CHANNEL) for key in channels if key not in configured]
    if _may_grow(config, config.grow_from_words):
        keys += [((GROWN, number, category), config.max_per_query) for number in facts.grown.get(category, ())]
    return keys


def _may_grow(config: CrawlConfig, setting: bool) -> bool:
    """Whether the crawl asks the site for lists at all, and may find more of them by itself."""
    return setting and not {*STAGES["list"].sources}.difference({LISTS}).isdisjoint(config.sources)


def states_of(config: CrawlConfig, facts: CrawlFacts, wanted: Wanted) -> list[CategoryState]:
    """The state of each wanted category, with the reason if it cannot be filled."""
    needs = needs_of(config, facts, wanted)
    return [_state(category, needs, config, facts, wanted) for category in wanted_categories(config)]


def _state(
    category: int, needs: Mapping[int, int], config: CrawlConfig, facts: CrawlFacts, wanted: Wanted
) -> CategoryState:
    quota, supply = wanted.quotas.get(category, 0.0), facts.supply.get(category, 0.0)
    if category not in needs:
        return CategoryState(category, quota, supply, "full")
    covered = quota > 0 and supply >= quota  # what it still asks for is the reserve, for losses at the fetch
    asks = open_asks(category, config, facts) + open_asks(ANY, config, facts)
    listed = facts.backlog.get(category, 0) + facts.backlog.get(ANY, 0)
    if asks or listed:
        return CategoryState(
            category, quota, supply, "going", f"{listed} listed videos and {len(asks)} sources are left"
        )
    if facts.n_waiting:
        why = f"{facts.n_waiting} videos were refused temporarily; the first is tried again after {facts.next_due}"
        return CategoryState(category, quota, supply, "full" if covered else "waits", why)
    if covered:
        why = f"has {supply / quota:.0%} of its quota; no source is left for the whole reserve"
        return CategoryState(category, quota, supply, "full", why)
    return CategoryState(category, quota, supply, "dry", _why_dry(category, config, facts))


def _why_dry(category: int, config: CrawlConfig, facts: CrawlFacts) -> str:
    sources = {key: known for key, known in facts.sources.items() if key[2] in (category, ANY)}
    if not sources:
        return "no source is configured for it: add queries, channels or playlists"
    listed = sum(known.n_listed for known in sources.values())
    failed = [known for known in sources.values() if not known.exhausted and known.failures >= SOURCE_TRIES]
    which = f"{len(sources) - len(failed)} of {len(sources)}" if failed else f"all {len(sources)}"
    text = f"{which} sources are listed to their end ({listed} results)"
    text += "; add queries or channels, or raise max_per_query"
    return text + (f"; the others failed: {', '.join(sorted({known.reason for known in failed}))}" if failed else "")

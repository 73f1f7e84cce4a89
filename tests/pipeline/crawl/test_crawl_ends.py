"""Whole crawls of a drawn site by the planner and the ledger's rules, in memory: every crawl ends, and rightly."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.rows import SourceRow
from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.ledger import CrawlLedger, after_listing
from pipeline.crawl.plan import ANY, SOURCE_TRIES, CrawlFacts, SourceFacts, SourceKey, Wanted, plan_round, sources_of
from pipeline.crawl.rounds import rounds
from pipeline.crawl.sources import NO_RESULT, Ask
from pipeline.engine.store.store import Store

CATEGORIES = (1, 27)
QUERIES = {category: tuple(f"{letter}{category}" for letter in "abc") for category in CATEGORIES}
CONFIG = CrawlConfig(categories=CATEGORIES, queries=QUERIES, max_per_query=600)
MOST_ROUNDS = 400


@dataclass
class Simulation:
    """A site whose searches have these results, whose listings fail now and then, and what a crawl knows of it."""

    results: dict[str, list[str]]
    fails: list[bool]  # of each listing in turn, from the start again after the last
    gives: int  # one video in so many is kept
    sources: dict[SourceKey, SourceFacts] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    looked_at: list[str] = field(default_factory=list)
    kept: Counter[int] = field(default_factory=Counter)
    in_a_row: Counter[SourceKey] = field(
        default_factory=Counter
    )  # failed listings, none as deep that went well between
    last_found: int = -1
    n_asks: int = 0

    def facts(self, round_: int) -> CrawlFacts:
        seen = set(self.looked_at)
        return CrawlFacts(
            round=round_,
            supply=dict(self.kept),
            asked=Counter(self.known[name] for name in seen),
            backlog=Counter(category for name, category in self.known.items() if name not in seen),
            sources=self.sources,
            last_found=self.last_found,
        )

    def list(self, ask: Ask, round_: int) -> None:
        fails = self.fails[self.n_asks % len(self.fails)]
        self.n_asks += 1
        every = self.results[ask.query]
        found = every[: ask.up_to // 2 if fails else ask.up_to]
        reason, detail = ("server_error", "") if fails else ("bad_answer", NO_RESULT) if not found else ("", "")
        for name in found:
            self.known.setdefault(name, ask.wanted_category_id)
        row: SourceRow = {
            "source": ask.source,
            "query": ask.query,
            "wanted_category_id": ask.wanted_category_id,
            "up_to": ask.up_to,
            "n_listed": len(found),
            "cursor": 0,
            "exhausted": not reason and len(found) < ask.up_to,
            "reason": reason,
            "detail": detail,
            "round": round_,
        }
        key = ask.source, ask.query, ask.wanted_category_id
        if reason or ask.up_to >= self.sources.get(key, SourceFacts()).up_to:
            self.in_a_row[key] = self.in_a_row[key] + 1 if reason else 0
        self.sources[key] = after_listing(self.sources.get(key, SourceFacts()), row)
        self.last_found = max(self.last_found, round_ if found else -1)

    def look(self, n_candidates: Iterable[tuple[int, int]]) -> None:
        seen = set(self.looked_at)
        for category, n_wanted in n_candidates:
            free = (name for name, of in self.known.items() if of == category and name not in seen)
            for name in islice(free, n_wanted):
                self.looked_at.append(name)
                self.kept[category] += len(self.looked_at) % self.gives == 0

    def crawl(self, wanted: Wanted) -> int:
        """Runs rounds to the end, and returns how many there were."""
        for round_ in range(MOST_ROUNDS):
            plan = plan_round(CONFIG, self.facts(round_), wanted)
            if plan.is_empty:
                return round_
            for ask in plan.asks:
                self.list(ask, round_)
            self.look(plan.n_candidates.items())
        return MOST_ROUNDS


lengths = st.integers(0, 1500) | st.sampled_from([0, 59, 60, 61, 240, 600, 1000])


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries({query: lengths for some in QUERIES.values() for query in some}),
    st.lists(st.booleans(), min_size=1, max_size=7),
    st.integers(1, 9),
    st.sampled_from([5.0, 300.0, 1e6]),
)
def test_every_crawl_ends(lengths: dict[str, int], fails: list[bool], gives: int, quota: float) -> None:
    results = {query: [f"{query[0]}{n}" for n in range(length)] for query, length in lengths.items()}
    site = Simulation(results, fails, gives)

    n_rounds = site.crawl(Wanted(dict.fromkeys(CATEGORIES, quota), "videos"))

    assert n_rounds < MOST_ROUNDS, "it ends"
    assert len(set(site.looked_at)) == len(site.looked_at), "nothing is looked at twice"
    for category in CATEGORIES:
        if site.kept[category] >= quota:
            continue
        assert {name for name, of in site.known.items() if of == category} <= {*site.looked_at}
        for key, most in sources_of(category, CONFIG):
            known = site.sources[key]
            is_listed = known.exhausted or known.n_listed >= most
            assert is_listed or site.in_a_row[key] >= SOURCE_TRIES or not known.n_listed, f"{key} is given up too early"


def test_a_listing_that_failed_once_is_listed_to_its_limit() -> None:
    results = {query: [f"{query} {n}" for n in range(1000)] for some in QUERIES.values() for query in some}
    site = Simulation(results, [True, *[False] * 99], gives=10)

    assert site.crawl(Wanted(dict.fromkeys(CATEGORIES, 1e6), "videos")) < MOST_ROUNDS
    assert {known.n_listed for known in site.sources.values()} == {600}


def test_rounds_without_news_end_the_crawl(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(str(tmp_path))
    with caplog.at_level(logging.WARNING, "hdvila"):
        made = list(islice(rounds(CONFIG, store, Wanted({1: 9.0}), CrawlLedger(store)), 5))

    assert len(made) == 1, "nobody carries the first out, so that the second would be the same"
    assert "round 0 brought nothing new" in caplog.text and ANY not in made[0].n_candidates

"""The plan of a round is a pure function; the ledger agrees with plain sets."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.plan import (
    MAX_CANDIDATES,
    PAGE,
    CrawlFacts,
    SourceFacts,
    Wanted,
    most_candidates,
    plan_round,
    states_of,
)
from pipeline.crawl.round_files import read_plans, write_plan
from pipeline.engine.store.store import Store

CATEGORIES = (1, 10, 27)
CONFIG = CrawlConfig(categories=CATEGORIES, queries={c: (f"a{c}", f"b{c}") for c in CATEGORIES}, reserve=0.0)
WANTED = Wanted(dict.fromkeys(CATEGORIES, 100.0))

counts = st.dictionaries(st.sampled_from(CATEGORIES), st.integers(0, 300))
source_facts = st.builds(
    SourceFacts,
    up_to=st.integers(0, 600),
    n_listed=st.integers(0, 600),
    exhausted=st.booleans(),
    failures=st.integers(0, 4),
    empty_in=st.integers(-1, 50),
    n_kept=st.integers(0, 100),
)
keys = st.sampled_from([("search", f"{letter}{c}", c) for c in CATEGORIES for letter in "ab"])
facts_of = st.builds(
    CrawlFacts,
    round=st.integers(0, 50),
    supply=counts,
    asked=counts,
    backlog=counts,
    sources=st.dictionaries(keys, source_facts),
    channels=st.dictionaries(st.sampled_from(CATEGORIES), st.just(("UC" + "x" * 22,))),
    grown=st.dictionaries(st.sampled_from(CATEGORIES), st.just(("00001.0", "00001.1"))),
    last_found=st.integers(-1, 50),
)


@given(facts_of)
def test_a_plan_asks_only_for_what_is_short_and_only_open_sources(facts: CrawlFacts) -> None:
    plan = plan_round(CONFIG, facts, WANTED)
    assert plan == plan_round(CONFIG, facts, WANTED)
    full = {c for c in CATEGORIES if facts.supply.get(c, 0) >= 100}
    is_tested = (
        bool(plan.asks) and plan.asks[-1].up_to == PAGE
    )  # whether searches find anything, after one that did not
    assert not full & {ask.wanted_category_id for ask in plan.asks[: len(plan.asks) - is_tested]}
    assert not full & plan.n_candidates.keys()
    for ask in plan.asks[: len(plan.asks) - is_tested]:
        known = facts.sources.get((ask.source, ask.query, ask.wanted_category_id), SourceFacts())
        assert not known.exhausted
        assert ask.up_to >= known.up_to or known.up_to > 600
    assert sum(plan.n_candidates.values()) <= MAX_CANDIDATES + len(CATEGORIES)


@given(facts_of)
def test_a_crawl_ends_only_when_every_category_is_full_dry_or_waiting(facts: CrawlFacts) -> None:
    states = {state.category_id: state.state for state in states_of(CONFIG, facts, WANTED)}
    assert plan_round(CONFIG, facts, WANTED).is_empty == ("going" not in states.values())


@given(facts_of)
def test_a_round_is_small_beside_all_that_came_before_it(facts: CrawlFacts) -> None:
    wanted = Wanted(dict.fromkeys(CATEGORIES, 1e6))
    most = most_candidates(facts.round, 150)
    assert sum(plan_round(CONFIG, facts, wanted).n_candidates.values()) <= most + len(CATEGORIES)
    before = sum(most_candidates(round_, 150) for round_ in range(facts.round))
    assert most <= max(2 * before, 60) and (before < 10_000 or most <= before / 10)


@pytest.mark.parametrize("n_identities", [1, 5, 25, 200])
def test_a_round_keeps_all_identities_busy_and_ends_while_its_addresses_serve(n_identities: int) -> None:
    an_hour = 150 * n_identities
    hours = [most_candidates(round_, an_hour) / an_hour for round_ in range(15)]
    assert max(hours) < 5 and hours[12] > min(3, 40_000 / an_hour)


def test_the_category_that_is_furthest_from_its_quota_comes_first() -> None:
    facts = CrawlFacts(supply={1: 90.0, 10: 10.0, 27: 50.0})
    plan = plan_round(CONFIG, facts, WANTED)
    assert list(dict.fromkeys(ask.wanted_category_id for ask in plan.asks)) == [10, 27, 1]
    assert plan.n_candidates[10] > plan.n_candidates[27] > plan.n_candidates[1]


def test_a_run_that_goes_on_names_the_choice_of_its_round_as_the_killed_one_did(tmp_path: Path) -> None:
    plan = plan_round(CONFIG, CrawlFacts(supply={1: 90.0, 10: 10.0, 27: 50.0}), WANTED)
    write_plan(store := Store(str(tmp_path)), plan)
    assert [again.unit_of_choice for again in read_plans(store)] == [plan.unit_of_choice]


def test_the_yield_so_far_decides_how_many_are_looked_at() -> None:
    rich, poor = (CrawlFacts(supply={27: n}, asked={27: 500}, backlog={27: 10_000}, round=200) for n in (800.0, 40.0))
    wanted = Wanted({27: 1000.0})
    per_clip = [plan_round(CONFIG, f, wanted).n_candidates[27] / (1000 - f.supply[27]) for f in (rich, poor)]
    assert per_clip[1] > 4 * per_clip[0]


def test_what_is_listed_already_is_used_before_more_is_listed() -> None:
    facts = CrawlFacts(backlog=dict.fromkeys(CATEGORIES, 500))
    plan = plan_round(CONFIG, facts, WANTED)
    assert plan.asks == ()
    assert set(plan.n_candidates) == set(CATEGORIES)


def test_the_better_source_is_listed_first_and_deeper() -> None:
    good, bad = (SourceFacts(up_to=60, n_listed=60, n_kept=n) for n in (50, 2))
    facts = CrawlFacts(sources={("search", "a27", 27): bad, ("search", "b27", 27): good}, asked={27: 120})
    only = CONFIG.model_copy(update={"categories": (27,)})
    first = plan_round(only, facts, Wanted({27: 10.0})).asks[0]
    assert (first.query, first.up_to) == ("b27", 240)


def searches_of_a_round(n_listed: int, n_new: int) -> int:
    """How many searches are planned after one that ended with `n_listed` results, of which `n_new` were new."""
    config = CONFIG.model_copy(update={"categories": (27,), "queries": {27: tuple("abcdefgh")}})
    ended = {("search", "a", 27): SourceFacts(up_to=60, n_listed=n_listed, exhausted=True)}
    facts = CrawlFacts(sources=ended, supply={27: 50.0}, asked={27: n_new})
    return len(plan_round(config, facts, Wanted({27: 100.0})).asks)


def test_more_searches_are_made_at_once_where_they_end_early_or_find_what_is_known() -> None:
    assert searches_of_a_round(n_listed=60, n_new=60) == 1
    assert searches_of_a_round(n_listed=3, n_new=3) > 1
    assert searches_of_a_round(n_listed=60, n_new=3) > 1


def test_what_was_put_off_is_tried_again_only_while_something_is_short() -> None:
    full = CrawlFacts(supply=dict.fromkeys(CATEGORIES, 200.0), due=(("a", 2),), requested=(("b", 3),))
    assert plan_round(CONFIG, full, WANTED).due == (("b", 3),)
    short = replace(full, supply={})
    assert plan_round(CONFIG, short, WANTED).due == (("a", 2), ("b", 3))


def test_a_dry_category_says_why() -> None:
    ended = {
        key: SourceFacts(up_to=60, n_listed=40, exhausted=True)
        for key in [("search", "a27", 27), ("search", "b27", 27)]
    }
    only = CONFIG.model_copy(update={"categories": (27,)})
    state = states_of(only, CrawlFacts(sources=ended), Wanted({27: 100.0}))[0]
    assert (state.state, "2 sources are listed to their end (80 results)" in state.why) == ("dry", True)
    none = CONFIG.model_copy(update={"categories": (27,), "queries": {27: ()}})
    assert "no source is configured" in states_of(none, CrawlFacts(), Wanted({27: 100.0}))[0].why


def test_a_category_at_117_percent_of_its_quota_is_not_dry() -> None:
    """What it still asks for is the reserve; nothing is missing where that has no source left."""
    config = CrawlConfig(categories=(27,), queries={27: ("a",)}, grow_from_channels=False, reserve=0.25)
    done = SourceFacts(up_to=600, n_listed=40, exhausted=True)
    facts = CrawlFacts(supply={27: 117.0}, asked={27: 40}, sources={("search", "a", 27): done})
    state = states_of(config, facts, Wanted({27: 100.0}))[0]
    assert (state.state, "117%" in state.why) == ("full", True)
    short = states_of(config, replace(facts, supply={27: 99.0}), Wanted({27: 100.0}))[0]
    assert short.state == "dry"

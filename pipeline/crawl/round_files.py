"""What a crawl records of its rounds, and what is known when one is planned.

rounds/<n>.json            the plan of round n, written before it is carried out
rounds/grown/<n>.json      the searches that were grown for it (`grown`)
rounds/states/last.json    the state of each category when the last plan was made
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TypedDict

from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.grown import GrownSearch, read_grown
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import CategoryState, CrawlFacts, RoundPlan, Wanted, states_of
from pipeline.crawl.sources import Ask
from pipeline.engine.store.store import Store

ROUNDS = "rounds"
STATES = "rounds/states/last.json"


def read_states(store: Store) -> list[CategoryState]:
    """The states that the last plan was made from; [] before the first plan."""
    return [CategoryState(**facts) for facts in store.read_json(STATES)] if store.exists(STATES) else []


def crawl_facts(ledger: CrawlLedger, number: int, served: list[str]) -> CrawlFacts:
    """What is committed so far, as the plan of round `number` needs it."""
    ledger.update()
    return with_grown(ledger.facts(number, datetime.now(UTC), served), read_grown(ledger.store))


def with_grown(facts: CrawlFacts, grown: Mapping[str, GrownSearch]) -> CrawlFacts:
    """The facts with these searches, except those whose words are forgotten."""
    by_category: dict[int, list[str]] = {}
    for number, search in grown.items():
        if search.words:
            by_category.setdefault(search.category_id, []).append(number)
    return replace(facts, grown={category: tuple(numbers) for category, numbers in by_category.items()})


def category_states(config: CrawlConfig, store: Store, wanted: Wanted) -> list[CategoryState]:
    """The state of each category: full, going, waits or dry, and why."""
    ledger = CrawlLedger(store, wanted.unit)
    plans = read_plans(store)
    return states_of(config, crawl_facts(ledger, len(plans), [n for p in plans for n in p.requests]), wanted)


class AskJson(TypedDict):
    """An `Ask` in a file of `rounds/`."""

    source: str
    query: str
    wanted_category_id: int
    up_to: int
    cursor: int
    attempt: int


class PlanJson(TypedDict):
    """A file of `rounds/`."""

    round: int
    asks: list[AskJson]
    n_candidates: list[tuple[int, int]]
    """(category, how many), sorted by category."""
    due: list[tuple[str, int]]
    requests: list[str]
    batch: int


def write_plan(store: Store, plan: RoundPlan) -> None:
    """Records a plan before it is carried out."""
    facts = {**asdict(plan), "n_candidates": sorted(plan.n_candidates.items())}
    store.write_json(f"{ROUNDS}/{plan.round:05d}.json", facts)


def read_plans(store: Store) -> list[RoundPlan]:
    """The plans of all rounds so far, in order."""
    return [_plan(store.read_json(f"{ROUNDS}/{name}")) for name in store.names(ROUNDS) if name.endswith(".json")]


def _plan(facts: PlanJson) -> RoundPlan:
    return RoundPlan(
        round=facts["round"],
        asks=tuple(Ask(**ask) for ask in facts["asks"]),
        n_candidates={int(category): int(n) for category, n in facts["n_candidates"]},
        due=tuple((str(video_id), int(attempt)) for video_id, attempt in facts["due"]),
        requests=tuple(facts["requests"]),
        batch=facts["batch"],
    )

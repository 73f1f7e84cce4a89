"""The crawl, in rounds: list what is short, choose, look at the chosen, see which clips result, plan the next round.

The requests of a round follow from what earlier rounds committed, and each plan is recorded before it is carried out
(`rounds/<number>.json`): a killed run continues with the same round. Between two rounds the caller runs the text
stages, which tell how many clips each video gives.

    for plan in rounds(config, store, wanted, ledger):
        for stage in stages_of(plan, config, polite, ledger, opt_outs): run it
        run transcripts and clips
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TypedDict

from manifests.categories import category_name
from pipeline.config.crawl import CrawlConfig
from pipeline.config.media import CutConfig
from pipeline.crawl.extract import ExtractStage
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.listing import ChooseStage, ListStage
from pipeline.crawl.plan import CategoryState, CrawlFacts, RoundPlan, Wanted, plan_round, states_of
from pipeline.crawl.sources import Ask
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Stage
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.politeness import Polite, Politeness

log = logging.getLogger("hdvila")

MAX_ROUNDS = 1000
ROUNDS = "rounds"
STATES = "rounds/states/last.json"


@dataclass(frozen=True, slots=True)
class BuildPoliteness:
    """Makes the only Politeness of a run, locally or in an actor that may restart."""

    config: CrawlConfig
    store: Store
    seed: int = 0
    patience_s: float = 0.0
    """How long it waits for a store that does not answer: an actor that cannot be made is dead for good."""

    def __call__(self) -> Politeness:
        identities = {identity.name: identity.videos_per_hour for identity in self.config.pool()}
        patient = replace(self.store, patience_s=self.patience_s)
        return Politeness(self.config.politeness, identities, store=patient, seed=self.seed)


def rounds(config: CrawlConfig, store: Store, wanted: Wanted, ledger: CrawlLedger) -> Iterator[RoundPlan]:
    """Yields each round to run, the last recorded round first; ends when nothing more can or need be done.

    Running a finished round again does nothing, so the caller need not know where the last run stopped.
    """
    plans = read_plans(store)
    if plans:
        yield plans[-1]
    served = [name for plan in plans for name in plan.requests]
    for number in range(len(plans), MAX_ROUNDS):
        facts = crawl_facts(ledger, number, served)
        plan = plan_round(config, facts, wanted)
        _say_where_it_stands(store, states_of(config, facts, wanted), ended=plan.is_empty)
        if plan.is_empty:
            return
        write_plan(store, plan)
        served += plan.requests
        yield plan


def _say_where_it_stands(store: Store, states: list[CategoryState], *, ended: bool) -> None:
    """Writes the state of each category for `status`; at the end of a crawl, logs which cannot be filled and why."""
    store.write_json(STATES, [asdict(state) for state in states])
    for state in states if ended else ():
        if state.state != "full":
            name = category_name(state.category_id)
            log.warning("%s: %.1f of %.1f; %s", name, state.supply, state.quota, state.why)


def read_states(store: Store) -> list[CategoryState]:
    """The states that the last plan was made from; [] before the first plan."""
    return [CategoryState(**facts) for facts in store.read_json(STATES)] if store.exists(STATES) else []


def crawl_facts(ledger: CrawlLedger, number: int, served: list[str]) -> CrawlFacts:
    """What is committed so far, as the plan of round `number` needs it."""
    ledger.update()
    return ledger.facts(number, datetime.now(UTC), served)


def stages_of(
    plan: RoundPlan,
    config: CrawlConfig,
    polite: Polite,
    ledger: CrawlLedger,
    opt_outs: Tombstones,
    cut: CutConfig | None = None,
) -> tuple[Stage, Stage, Stage]:
    """The stages of a round, in order. `cut` says what counts as 720p."""
    return (
        ListStage(config, polite, plan),
        ChooseStage(config, plan, ledger, opt_outs),
        ExtractStage(config, polite, plan, opt_outs, cut or CutConfig()),
    )


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
    )

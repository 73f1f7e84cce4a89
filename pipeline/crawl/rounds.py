"""The crawl, in rounds: list what is short, choose, look at the chosen, see which clips result, plan the next round.

The requests of a round follow from what earlier rounds committed, and each plan is recorded before it is carried out
(`rounds/<number>.json`): a killed run continues with the same round. Between two rounds the caller runs the text
stages, which tell how many clips each video gives.

    for plan in rounds(config, store, wanted, ledger):
        for stage in stages_of(plan, config, polite, ledger, opt_outs): run it
        run transcripts and clips
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from itertools import count

from manifests.categories import category_name
from pipeline.config.crawl import CrawlConfig
from pipeline.config.media import CutConfig
from pipeline.crawl.extract import ExtractStage
from pipeline.crawl.grown import has_grown, read_grown, write_grown
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.listing import ChooseStage, ListStage
from pipeline.crawl.plan import (
    CategoryState,
    CrawlFacts,
    RoundPlan,
    Wanted,
    plan_round,
    queries_of,
    searches_to_grow,
    states_of,
)
from pipeline.crawl.round_files import STATES, crawl_facts, read_plans, with_grown, write_plan
from pipeline.crawl.words import KeptWords
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Stage
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.politeness import Polite

log = logging.getLogger("hdvila")


def rounds(config: CrawlConfig, store: Store, wanted: Wanted, ledger: CrawlLedger) -> Iterator[RoundPlan]:
    """Yields each round to run, the last recorded round first; ends when nothing more can or need be done.

    Running a finished round again does nothing, so the caller need not know where the last run stopped.
    """
    plans = read_plans(store)
    words: KeptWords | None = None
    if plans:
        yield plans[-1]
    served = [name for plan in plans for name in plan.requests]
    before: CrawlFacts | None = None
    for number in count(len(plans)):
        facts = crawl_facts(ledger, number, served)
        if before is not None and not brought_news(before, facts):
            log.warning("round %d brought nothing new, not even a failure: the crawl ends here", number - 1)
            _say_where_it_stands(store, states_of(config, facts, wanted), ended=True)
            return
        plan = plan_round(config, facts, wanted)
        n_wanted = searches_to_grow(config, facts, wanted, plan)
        if n_wanted and not has_grown(store, number):  # a killed run has recorded them already
            words = words or KeptWords(store)
            facts = _with_new_searches(config, facts, words, n_wanted)
            plan = plan_round(config, facts, wanted)
        _say_where_it_stands(store, states_of(config, facts, wanted), ended=plan.is_empty)
        if plan.is_empty:
            return
        write_plan(store, plan)
        served += plan.requests
        before = facts
        yield plan


def brought_news(before: CrawlFacts, after: CrawlFacts) -> bool:
    """Whether a round changed anything that the next plan depends on: without news, it would be planned for ever."""
    return replace(before, round=0, next_due="") != replace(after, round=0, next_due="")


def _with_new_searches(
    config: CrawlConfig, facts: CrawlFacts, words: KeptWords, n_wanted: Mapping[int, int]
) -> CrawlFacts:
    """The facts with the searches that are grown for this round, which it records."""
    words.update()
    known = [(category, query) for category in n_wanted for query in queries_of(category, config)]
    known += [(search.category_id, search.words) for search in read_grown(words.store).values()]
    if found := words.grow(n_wanted, known):
        write_grown(words.store, facts.round, found)
    return with_grown(facts, read_grown(words.store))


def _say_where_it_stands(store: Store, states: list[CategoryState], *, ended: bool) -> None:
    """Writes the state of each category for `status`; at the end of a crawl, logs which cannot be filled and why."""
    store.write_json(STATES, [asdict(state) for state in states])
    for state in states if ended else ():
        if state.state != "full":
            name = category_name(state.category_id)
            log.warning("%s: %.1f of %.1f; %s", name, state.supply, state.quota, state.why)


def stages_of(
    plan: RoundPlan,
    config: CrawlConfig,
    polite: Polite,
    ledger: CrawlLedger,
    opt_outs: Tombstones,
    cut: CutConfig | None = None,
    *,
    recognises: bool = False,
) -> tuple[Stage, Stage, Stage]:
    """The stages of a round, in order. `cut` says what counts as 720p; `recognises`, whether videos without captions
    stay.
    """
    return (
        ListStage(config, polite, plan, opt_outs=opt_outs),
        ChooseStage(config, plan, ledger, opt_outs),
        ExtractStage(config, polite, plan, opt_outs, cut or CutConfig(), recognises),
    )

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
from dataclasses import asdict

from manifests.categories import category_name
from pipeline.config.crawl import CrawlConfig
from pipeline.config.media import CutConfig
from pipeline.crawl.extract import ExtractStage
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.listing import ChooseStage, ListStage
from pipeline.crawl.plan import MAX_ROUNDS, CategoryState, RoundPlan, Wanted, plan_round, states_of
from pipeline.crawl.round_files import STATES, crawl_facts, read_plans, write_plan
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

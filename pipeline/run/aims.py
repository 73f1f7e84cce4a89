"""First part of a run: candidates with their captions, and the clips these promise, before any video is fetched.

In:  the configured sources

Out: tables `listings`, `videos`, `captions`, `transcripts`, `clips`

The crawl goes in rounds; in each the text stages follow the extraction, so that at its end it is known how many clips
each category has. What the rounds aim at is recorded (`rounds/wanted/<n>.json`) before they start: a killed run has the
same aim again. `gather` and `crawl` are lines of the driver: media and shards run alongside.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.balance.quotas import MS_PER_HOUR, Supply, category_weights, from_amount, plan_quotas
from pipeline.balance.selection import Selection
from pipeline.config.balance import BalanceConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import CategoryState, Wanted
from pipeline.crawl.progress import forget_committed
from pipeline.crawl.rounds import category_states, rounds, stages_of
from pipeline.crawl.sources.registry import SOURCES, asks_site
from pipeline.engine.run.driver import Line
from pipeline.engine.work.unit import Stage
from pipeline.run.session import Run
from pipeline.site.optout import load_opt_outs
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import TranscriptsStage

WANTED = "rounds/wanted"
PLENTY = 10**12
"""The assumed supply of a category that is not exhausted, clips or milliseconds: more than any quota."""
MOST_EXTRA = 4.0
"""The most a category's candidates may promise, as a multiple of its quota, if most fetches are lost."""


@dataclass(slots=True)
class Gathered:
    """How far the crawl is: the rounds that are over with their text, and whether no more are coming for now."""

    n_rounds: int = 0
    n_worked: int = 0
    """Rounds of this run that listed or looked at something."""
    is_over: bool = False


def gather(run: Run, gathered: Gathered) -> Line:
    """Lists, looks at and reads videos until every category has what it needs or there is nothing more to ask."""
    for name in run.config.crawl.sources:
        if own := SOURCES[name].stage:
            yield (own(run.config, run.hosts), *text_stages(run))
    if asks_site(run.config):
        yield from crawl(run, last_wanted(run), gathered)
    gathered.is_over = True


def text_stages(run: Run) -> tuple[Stage, Stage]:
    """The stages from captions to transcripts to planned clips, for what is not done yet."""
    return TranscriptsStage(run.config.text), ClipsStage(run.config.text)


def crawl(run: Run, wanted: Wanted, gathered: Gathered) -> Line:
    """Runs rounds until the wanted amounts are covered or the sources are exhausted."""
    config, store = run.config.crawl, run.store
    opt_outs = load_opt_outs(config.opt_out, store)
    ledger = CrawlLedger(store, wanted.unit)
    gathered.is_over = False
    for plan in rounds(config, store, wanted, ledger):
        list_, choose, extract = stages_of(plan, config, run.polite, ledger, opt_outs, run.config.media.cut)
        results = yield (list_,)
        results += yield (choose,)
        results += (yield (extract, *text_stages(run)))[:1]
        gathered.n_rounds = plan.round + 1
        gathered.n_worked += any(result.n_units for result in results)
    forget_committed(store)
    gathered.is_over = True


def last_wanted(run: Run) -> Wanted:
    """What the rounds aim at: the last recorded aim, or, in a new run, each category's share of the total."""
    recorded = run.store.names(WANTED)
    if recorded:
        facts = run.store.read_json(f"{WANTED}/{recorded[-1]}")
        return Wanted({int(i): amount for i, amount in facts["quotas"].items()}, facts["unit"])
    return record(run, aim(run.config.balance, {}))


def record(run: Run, wanted: Wanted) -> Wanted:
    """Records an aim before anything is done for it."""
    number = len(run.store.names(WANTED))
    run.lock.check()
    run.store.write_json(f"{WANTED}/{number:05d}.json", {"quotas": dict(wanted.quotas), "unit": wanted.unit})
    return wanted


def wanted_more(run: Run, selection: Selection) -> Wanted | None:
    """The aim of a further crawl: to replace what media lost or a dry category left over; None if there is none."""
    if not asks_site(run.config) or is_full(selection):
        return None
    states = category_states(run.config.crawl, run.store, last_wanted(run))
    wanted = aim_again(run.config.balance, selection, states)
    if all(wanted.quotas[i] <= amount for i, amount in last_wanted(run).quotas.items()):
        return None
    return record(run, wanted)


def is_full(selection: Selection) -> bool:
    """Whether the requested total has been reached (within one clip in a thousand)."""
    result = selection.result
    return result.total_asked >= 0 and result.total_kept >= 0.999 * result.total_asked


def aim(config: BalanceConfig, dry: Mapping[int, int]) -> Wanted:
    """Amounts by category, if all except the `dry` ones (category: its supply) had plenty."""
    return Wanted({i: from_amount(q, config.unit) for i, q in shares_of(config, dry).items()}, config.unit)


def shares_of(config: BalanceConfig, dry: Mapping[int, int]) -> dict[int, int]:
    """The same in clips or milliseconds: what each category may have before it is known what others leave over."""
    ids = category_weights(config)
    amounts = {i: dry.get(i, PLENTY) for i in ids}
    within = {i: min(amount, _hours_cap(config)) for i, amount in amounts.items()}
    none_kept = dict.fromkeys(ids, 0)
    quotas = plan_quotas(Supply(amounts, amounts, {}, amounts, none_kept, within), config)
    return {i: q.quota for i, q in quotas.by_category.items()}


def _hours_cap(config: BalanceConfig) -> int:
    return round(config.max_hours_per_category * MS_PER_HOUR) if config.unit == "hours" else PLENTY


def aim_again(config: BalanceConfig, selection: Selection, states: list[CategoryState]) -> Wanted:
    """The aim after a selection that fell short: dry categories leave their share to others; losses are compensated."""
    scale = MS_PER_HOUR if config.unit == "hours" else 1
    made = {c.category_id: c for c in selection.result.categories}
    dry = {
        s.category_id: round(made[s.category_id].made * scale)
        for s in states
        if s.state == "dry" and s.category_id in made
    }
    quotas = {}
    for category_id, amount in aim(config, dry).quotas.items():
        found = made.get(category_id)
        tried = found.planned if found else 0.0
        lost = min(MOST_EXTRA, tried / found.made) if found and found.made else 1.0
        quotas[category_id] = amount * max(1.0, lost)
    return Wanted(quotas, config.unit)

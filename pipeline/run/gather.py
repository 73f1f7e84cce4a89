"""First part of a run: candidates with their captions, and the clips that these promise, before a byte of video.

In:  sources of the configuration
Out: tables `listings`, `videos`, `captions`, `transcripts`, `clips`

The crawl goes in rounds; between two rounds the text stages say how many clips each category has by now. What the
rounds aim at is written down (`rounds/wanted/<n>.json`) before they start: a killed run aims at the same again.
"""

from collections.abc import Mapping

from pipeline.balance.quotas import MS_PER_HOUR, Supply, category_weights, from_amount, plan_quotas
from pipeline.balance.selection import Selection
from pipeline.config.balance import BalanceConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import CategoryState, Wanted
from pipeline.crawl.progress import forget_committed
from pipeline.crawl.rounds import explain, rounds, stages_of
from pipeline.crawl.sources.registry import SOURCES
from pipeline.run.session import Run
from pipeline.site.optout import load_opt_outs
from pipeline.site.pauses import log_pauses_of
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import TranscriptsStage

WANTED = "rounds/wanted"
PLENTY = 10**12
"""Supply of a category that has not run dry, in clips or milliseconds: more than anybody asks for."""
MOST_EXTRA = 4.0
"""How many times its quota a category's candidates may promise, where most of what is fetched is lost."""


def gather(run: Run) -> None:
    """Lists, looks at and reads until every category has what it needs, or nothing more to ask."""
    own = [stage for name in run.config.crawl.sources if (stage := SOURCES[name].stage)]
    for stage in own:
        run.do(stage(run.config, run.hosts))
    if own:
        read_captions(run)
    if net_sources(run):
        crawl(run, last_wanted(run))


def net_sources(run: Run) -> bool:
    """Whether any source is asked in the rounds of a crawl."""
    return any(SOURCES[name].stage is None for name in run.config.crawl.sources)


def read_captions(run: Run) -> None:
    """Captions to transcripts to planned clips, for what has none yet."""
    run.do(TranscriptsStage(run.config.text))
    run.do(ClipsStage(run.config.text))


def crawl(run: Run, wanted: Wanted) -> int:
    """Rounds until the wanted amounts are covered or the sources end; returns how many rounds listed or looked."""
    config, store = run.config.crawl, run.store
    opt_outs = load_opt_outs(config.opt_out, store)
    books = CrawlLedger(store, wanted.unit)
    n_rounds = 0
    with log_pauses_of(run.polite):
        for plan in rounds(config, store, wanted, books):
            stages = stages_of(plan, config, run.polite, books, opt_outs, run.config.media.cut)
            n_units = sum(run.do(stage).n_units for stage in stages)
            read_captions(run)
            n_rounds += n_units > 0
    forget_committed(store)
    return n_rounds


def last_wanted(run: Run) -> Wanted:
    """What the rounds aim at: as written down last, or, in a new run, each category's share of the total."""
    recorded = run.store.names(WANTED)
    if recorded:
        facts = run.store.read_json(f"{WANTED}/{recorded[-1]}")
        return Wanted({int(i): amount for i, amount in facts["quotas"].items()}, facts["unit"])
    return record(run, aim(run.config.balance, {}))


def record(run: Run, wanted: Wanted) -> Wanted:
    """Writes an aim down, before anything is done for it."""
    number = len(run.store.names(WANTED))
    run.lock.check()
    run.store.write_json(f"{WANTED}/{number:05d}.json", {"quotas": dict(wanted.quotas), "unit": wanted.unit})
    return wanted


def gather_more(run: Run, selection: Selection) -> bool:
    """A further crawl for what was lost at the media or left over by a dry category; False where nothing came of it."""
    if not net_sources(run) or is_full(selection):
        return False
    states = explain(run.config.crawl, run.store, last_wanted(run))
    wanted = aim_again(run.config.balance, selection, states)
    if all(wanted.quotas[i] <= amount for i, amount in last_wanted(run).quotas.items()):
        return False
    return crawl(run, record(run, wanted)) > 0


def is_full(selection: Selection) -> bool:
    """Whether the total that was asked for is there (to less than one clip in a thousand)."""
    result = selection.result
    return result.total_asked >= 0 and result.total_kept >= 0.999 * result.total_asked


def aim(config: BalanceConfig, dry: Mapping[int, int]) -> Wanted:
    """Amounts by category if all but the `dry` ones (category: its supply) had plenty."""
    ids = category_weights(config)
    amounts = {i: dry.get(i, PLENTY) for i in ids}
    within = {i: min(amount, _hours_cap(config)) for i, amount in amounts.items()}
    nobody = dict.fromkeys(ids, 0)
    quotas = plan_quotas(Supply(amounts, amounts, {}, amounts, nobody, within), config)
    return Wanted({i: from_amount(q.quota, config.unit) for i, q in quotas.by_category.items()}, config.unit)


def _hours_cap(config: BalanceConfig) -> int:
    return round(config.max_hours_per_category * MS_PER_HOUR) if config.unit == "hours" else PLENTY


def aim_again(config: BalanceConfig, selection: Selection, states: list[CategoryState]) -> Wanted:
    """The aim after a selection that fell short: dry categories leave their part to others, and losses are made up."""
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

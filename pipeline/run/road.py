"""The recipe of a run, from sources to report. Read it from top to bottom; every stage of the pipeline is named here.

    crawl     sources -> videos, captions -> transcripts -> clips      in rounds, until the quotas are covered
    media     videos, clips -> packs                                   in batches, until the quotas are full
    repeats   transcripts, clips; packs -> matches                     after each round; after each batch
    shards    packs -> shards, manifest                                in generations, as shards fill up
    deliver   the last selection -> shards -> manifest -> cards -> report

The first four run side by side, each with its share of the slots: texts are compared within the crawl, pictures in a
line of their own. A line yields the stages to run next and goes on once all their units are committed; what it plans
depends on what it waited for, never on how far the others are. Each step continues from what is committed: a run killed
anywhere and started again ends with the same bytes.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from manifests.shards import Manifest
from manifests.stages import names_of
from pipeline.balance.quotas import balance_of
from pipeline.balance.result import BalanceResult
from pipeline.balance.selection import select
from pipeline.config import RunConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import Wanted
from pipeline.crawl.rounds import rounds, stages_of
from pipeline.crawl.sources.changed_files import say_changed_files
from pipeline.crawl.sources.registry import asks_site, fetch_by_source, recognises_missing, source_named
from pipeline.engine.run.drain import StopRequest
from pipeline.engine.run.lines import Beside, Line, StageResult
from pipeline.engine.work.unit import Stage
from pipeline.media.recognise import RecogniseStage
from pipeline.media.row_index import RowIndex
from pipeline.media.stage import MediaStage
from pipeline.outdir.accounts import Accounts, check_accounts
from pipeline.outdir.retries import uncommit_due, uncommit_requested
from pipeline.query.funnel import funnel
from pipeline.report.page import write_report
from pipeline.report.summary import Delivered
from pipeline.run.aims import last_wanted, wanted_more
from pipeline.run.anew import look_anew
from pipeline.run.batches import Batches, Gathered, Group, drops_repeats
from pipeline.run.before import refuse_what_is_missing
from pipeline.run.candidates import note_due
from pipeline.run.generations import Closing
from pipeline.run.planned_beside import plan_beside
from pipeline.run.publish import publish_shards, write_selection
from pipeline.run.repeats import compare_pictures, compare_texts, take_up_what_is_lost
from pipeline.run.session import Run, open_run
from pipeline.shards.manifest import sweep_shards
from pipeline.shards.stage import ShardsStage
from pipeline.site.fetch import Fetcher
from pipeline.site.kept_sessions import check_identities
from pipeline.site.optout import load_opt_outs
from pipeline.site.pauses import log_pauses_of
from pipeline.site.politeness import Polite
from pipeline.text.added_stage import added_stages
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import TranscriptsStage


def run_pipeline(config: RunConfig, *, redo: str = "", mix: bool = False, stop: StopRequest | None = None) -> Delivered:
    """Runs everything. Raises UserError for what a person can fix, Drained if `stop` was requested; commits stay."""
    if asks_site(config):
        check_identities(config.crawl)
    opened = open_run(config, redo=redo, mix=mix, stop=stop, check=refuse_what_is_missing)
    with opened as session, log_pauses_of(session.run().polite, session.desk.requests):
        is_here = config.engine.executor == "local"
        made = recipe(session.run()) if is_here else plan_beside(session, recipe)
        delivered = Delivered(made.manifest, made.balance, tuple(session.results), made.accounts)
        session.desk.ends_with = delivered.exit_code, delivered.why_not_whole
        return delivered


@dataclass(frozen=True, slots=True)
class MadeByRecipe:
    """What a run has made once all is delivered."""

    manifest: Manifest
    balance: BalanceResult
    accounts: Accounts


def recipe(run: Run) -> MadeByRecipe:
    """The whole run. On a cluster this is planned in a process of its own, beside the driver's loop."""
    load_opt_outs(run.config.crawl.opt_out, run.store)  # a line that means nothing ends the run before any work
    now = datetime.now(UTC)
    say_changed_files(run.config, run.store)
    look_anew(run.store, now)
    uncommit_requested(run.store, names_of("round"))
    uncommit_due(run.store, names_of("unit"), now)
    take_up_what_is_lost(run.store)
    balance = work(run)
    manifest = deliver(run, balance)
    return MadeByRecipe(manifest, balance, check_accounts(run.store))


def work(run: Run) -> BalanceResult:
    """Crawls, makes media and closes shards side by side, again to replace what media lost; the final balance."""
    gathered = Gathered()
    _side_by_side(run, gathered, gather(run, gathered))
    balance = select_all(run)
    while (wanted := wanted_more(run, balance)) is not None:
        gathered.n_worked = 0
        _side_by_side(run, gathered, crawl(run, wanted, gathered))
        balance = select_all(run)  # always: the line that closes shards has written a selection too
        if not gathered.n_worked:
            break
    return balance


def _side_by_side(run: Run, gathered: Gathered, line: Line) -> None:
    gathered.is_over = False
    batches, index = Batches.of(run, gathered), RowIndex()
    repeats = [compare_pictures(run, batches)] if drops_repeats(run.config) else []
    run.driver.complete_lines([line, shards(run, batches), *repeats, media(run, batches, index)])


def gather(run: Run, gathered: Gathered) -> Line:
    """Lists, looks at and reads videos until every category has what it needs or there is nothing more to ask."""
    for name in run.config.crawl.sources:
        if own := source_named(name).stage:
            yield from _with_texts(run, own(run.config))
    yield from compare_texts(run)
    if asks_site(run.config):
        yield from crawl(run, last_wanted(run), gathered)
    gathered.is_over = True


def crawl(run: Run, wanted: Wanted, gathered: Gathered) -> Line:
    """Runs rounds until the wanted amounts are covered or the sources are exhausted.

    In each round the text stages follow the extraction, so that at its end it is known how many clips each category
    has.
    """
    config, store = run.config.crawl, run.store
    opt_outs = load_opt_outs(config.opt_out, store)
    ledger = CrawlLedger(store, wanted.unit)
    gathered.is_over = False
    for plan in rounds(config, store, wanted, ledger):
        recognises = recognises_missing(run.config)
        stages = stages_of(plan, config, run.polite, ledger, opt_outs, run.config.media.cut, recognises=recognises)
        list_, choose, extract = stages
        results = yield (list_,)
        results += yield (choose,)
        results += (yield from _with_texts(run, extract))[:1]
        yield from compare_texts(run)
        gathered.n_rounds = plan.round + 1
        gathered.n_worked += any(result.n_units for result in results)
    gathered.is_over = True


def _with_texts(run: Run, looks: Stage) -> Generator[Sequence[Stage], list[StageResult], list[StageResult]]:
    """A stage that looks at videos, and those that read their text; returns their results. What has no captions is
    listened to in between, if that is asked.
    """
    read = text_stages(run.config)
    if not recognises_missing(run.config):
        return (yield (looks, *read))
    results = yield (looks,)
    yield (listening(run.config, run.polite),)
    return [*results, *(yield read)]


def listening(config: RunConfig, polite: Polite) -> RecogniseStage:
    """The stage that listens to all videos without captions."""
    fetch = fetch_by_source(config, Fetcher(config.crawl, polite, config.media, sound_only=True))
    return RecogniseStage(config.media, fetch, fetch_limit_s=config.crawl.fetch_time_limit_s)


def text_stages(config: RunConfig) -> tuple[Stage, ...]:
    """The stages from captions to transcripts to planned clips, and those of other packages that decide on them."""
    return TranscriptsStage(config.text), ClipsStage(config.text), *added_stages(config.stages)


def media(run: Run, batches: Batches, index: RowIndex) -> Line:
    """Begins batch after batch of what is to be fetched and cut, as many side by side as may be under way.

    Each batch takes the best ranks of every category, so that categories fill evenly.
    """
    while not batches.is_over:
        batch = batches.next_one()
        if batch is None:
            if not batches.is_over:
                yield ()
            continue
        for group in batches.left_of(batch):
            yield Beside(_made(run, batches, group, index))


def _made(run: Run, batches: Batches, group: Group, index: RowIndex) -> Line:
    """Fetches and cuts the videos of a batch that are waited for together."""
    config = run.config
    fetch = fetch_by_source(config, Fetcher(config.crawl, run.polite, config.media))
    limit_s = config.crawl.fetch_time_limit_s
    yield (MediaStage(config.media, batches.ids_of(group), fetch, fetch_limit_s=limit_s, index=index),)
    batches.end(group)


def shards(run: Run, batches: Batches) -> Line:
    """Closes shards as they fill up; each time the manifest grows."""
    closing = Closing(run, batches)
    while not batches.is_over:
        generation = closing.decide()
        if generation is None:
            if not batches.is_over:
                yield ()
            continue
        if len(run.store.committed_of("shards", generation.units)) < len(generation.units):
            yield (generation.stage,)
        publish_shards(run, generation.balance)
        closing.end(generation)


def select_all(run: Run) -> BalanceResult:
    """Makes the final selection from what exists, and records it."""
    candidates = run.plan_from()
    note_due(run.store, candidates)
    selection = select(candidates.ranked, candidates.outcomes(), balance_of(run.config))
    return write_selection(run, selection)


def deliver(run: Run, balance: BalanceResult) -> Manifest:
    """Makes shards, manifest, cards, report. Packs are removed once the manifest with their samples is written."""
    run.complete(ShardsStage(run.config.shards, run.config.seed, books=run.known.shards))
    manifest = publish_shards(run, balance, {"funnel": funnel(run.store).document()}, is_last=True)
    sweep_shards(run.store, manifest)
    write_report(run.store)
    run.count_rejects()
    return manifest

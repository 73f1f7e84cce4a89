"""The road of a run, from sources to report. The first three run side by side, each with its share of the slots:

    gather     sources -> videos, captions -> transcripts -> clips      in rounds, until the quotas are covered
    fill       balance -> media in batches                              until the quotas are full or the reserve ends
    close      selection -> full shards -> manifest                     as shards fill up, from the first day on
    deliver    the last selection -> shards -> manifest -> cards -> report

Every step continues from what is committed. A run killed anywhere and started again ends with the same bytes.
"""

from datetime import UTC, datetime

from manifests.checks import CHECKS
from manifests.members import MEMBERS
from manifests.plugins import refuse_clashes
from manifests.stages import ORDER, names_of
from pipeline.balance.selection import Selection, select
from pipeline.config import RunConfig
from pipeline.crawl.sources.registry import SOURCES, asks_site
from pipeline.engine.run.drain import StopRequest
from pipeline.engine.run.driver import Line
from pipeline.outdir.accounts import check_accounts
from pipeline.outdir.retries import uncommit_due, uncommit_requested
from pipeline.report.summary import Delivered
from pipeline.run.aims import Gathered, crawl, gather, wanted_more
from pipeline.run.batches import Batches
from pipeline.run.fill import fill
from pipeline.run.generations import close, write_selection
from pipeline.run.publish import deliver
from pipeline.run.session import Run, open_run
from pipeline.site.pauses import log_pauses_of
from pipeline.site.ytdlp import check_identities


def run_pipeline(config: RunConfig, *, redo: str = "", mix: bool = False, stop: StopRequest | None = None) -> Delivered:
    """Runs everything. Raises UserError for what a person can fix, Drained if `stop` was requested; commits stay."""
    refuse_taken_names()
    if asks_site(config):
        check_identities(config.crawl)
    with open_run(config, redo=redo, mix=mix, stop=stop) as run:
        uncommit_requested(run.store, names_of("round"))
        uncommit_due(run.store, names_of("unit"), datetime.now(UTC))
        selection = work(run)
        manifest = deliver(run, selection)
        return Delivered(manifest, selection.result, tuple(run.results), check_accounts(run.store))


def refuse_taken_names() -> None:
    """Raises UserError if an installed package brings a step with a name of ours, whether or not it is used."""
    ours = {
        "checks": [check.name for check in CHECKS],
        "members": [member.switch for member in MEMBERS],
        "sources": SOURCES,
        "stages": ORDER,
    }
    for group, names in ours.items():
        refuse_clashes(group, names)


def work(run: Run) -> Selection:
    """Gathers, fills and closes side by side, again to replace what media lost; returns the final selection."""
    gathered = Gathered()
    with log_pauses_of(run.polite):
        _side_by_side(run, gathered, gather(run, gathered))
        selection = select_all(run)
        while (wanted := wanted_more(run, selection)) is not None:
            gathered.n_worked = 0
            _side_by_side(run, gathered, crawl(run, wanted, gathered))
            selection = select_all(run)  # always: the line that closes shards has written a selection too
            if not gathered.n_worked:
                break
    return selection


def _side_by_side(run: Run, gathered: Gathered, crawl: Line) -> None:
    gathered.is_over = False
    batches = Batches.of(run, gathered)
    run.complete_lines(crawl, close(run, batches), *fill(run, batches))


def select_all(run: Run) -> Selection:
    """Makes the final selection from what exists, and records it."""
    candidates = run.plan_from()
    selection = select(candidates.ranked, candidates.outcomes(), run.config.balance)
    write_selection(run, selection)
    return selection

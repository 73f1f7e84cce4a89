"""The road of a run, in the order in which data flows: from sources to report.

    gather     sources -> videos, captions -> transcripts -> clips      in rounds, until the quotas are covered
    fill       balance -> media in waves -> selection                   until the quotas are full or the reserve ends
    deliver    shards -> manifest -> cards -> report

Every step goes on from what is committed. A run that was killed anywhere and started again ends with the same bytes.
"""

from datetime import UTC, datetime

from manifests.stages import names_of
from pipeline.config import RunConfig
from pipeline.crawl.sources.registry import SOURCES
from pipeline.engine.drain import StopRequest
from pipeline.outdir.accounts import check_accounts
from pipeline.outdir.retries import take_up, take_up_due
from pipeline.report.summary import Delivered
from pipeline.run.deliver import deliver
from pipeline.run.fill import fill
from pipeline.run.gather import gather, gather_more
from pipeline.run.session import open_run
from pipeline.site.ytdlp import check_identities


def run_pipeline(config: RunConfig, *, redo: str = "", mix: bool = False, stop: StopRequest | None = None) -> Delivered:
    """Runs everything. Raises UserError for what a person can cure, Drained where `stop` was asked; commits stay."""
    if any(SOURCES[name].stage is None for name in config.crawl.sources):
        check_identities(config.crawl)
    with open_run(config, redo=redo, mix=mix, stop=stop) as run:
        take_up(run.store, names_of("round"))
        take_up_due(run.store, names_of("unit"), datetime.now(UTC))
        gather(run)
        selection = fill(run)
        while gather_more(run, selection):
            selection = fill(run)
        manifest = deliver(run, selection)
        return Delivered(manifest, selection.result, tuple(run.results), check_accounts(run.store))

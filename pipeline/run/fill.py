"""Second part of a run, alongside the first: fetches media in batches, following each category's seeded order.

In:  tables `videos`, `transcripts`, `clips`; rejects in force

Out: table `packs` with the packs; waves/*.json

Lines of the driver work on batches as they are planned (`batches.py`) until the quotas of real clips are full. Each
batch takes the best ranks of every category, so that categories fill evenly.
"""

from pipeline.crawl.sources.registry import fetch_by_source
from pipeline.engine.run.driver import Line
from pipeline.media.row_index import RowIndex
from pipeline.media.stage import MediaStage
from pipeline.run.batches import Batches
from pipeline.run.session import Run
from pipeline.site.fetch import Fetcher


def fill(run: Run, batches: Batches) -> list[Line]:
    """The lines that fetch and cut, batch after batch; as many as batches may be under way."""
    index = RowIndex()
    return [_line(run, batches, index) for _ in range(run.config.balance.batches_under_way)]


def _line(run: Run, batches: Batches, index: RowIndex) -> Line:
    config = run.config
    while not batches.is_over:
        batch = batches.next_one()
        if batch is None:
            if not batches.is_over:
                yield ()
            continue
        fetch = fetch_by_source(config, Fetcher(config.crawl, run.polite, config.media.cut), lambda: run.hosts)
        limit_s = config.crawl.fetch_time_limit_s
        yield (MediaStage(config.media, batch.video_ids, fetch, fetch_limit_s=limit_s, index=index),)
        batches.end(batch)

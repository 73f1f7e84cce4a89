"""Second part of a run: media is fetched in waves down each category's seeded order, until quotas of real clips fill.

In:  tables `videos`, `transcripts`, `clips`; rejects in force
Out: table `packs` with the packs; waves/*.json; selection.parquet; balance.json

A wave is written down before it is worked on. So a run that was killed in the middle of one works it off first, and
the next wave is planned from whole waves only: the same selection, killed or not.
"""

import logging
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests.funnel import rejects_in_force
from manifests.reasons import Reason
from manifests.sample import clip_id
from pipeline.balance import Ranked, candidates_of, rank_candidates
from pipeline.balance_result import BALANCE_NAME
from pipeline.clip_lists import ClipLists, clip_lists, empty_clip_lists
from pipeline.duplicates import find_duplicates
from pipeline.engine.store import Store
from pipeline.media import MediaStage
from pipeline.optout import opted_out
from pipeline.run import Run
from pipeline.selection import Duplicates, Outcomes, Selection, outcomes_of, select
from pipeline.shards import SELECTION_NAME, read_entries
from pipeline.text_duplicates import find_text_duplicates
from pipeline.waves import next_wave

log = logging.getLogger("hdvila")

PACK_COLUMNS = ["video_id", "n", "duration_ms", "status", "reason"]


def fill(run: Run) -> Selection:
    """Fetches and cuts until the quotas are full; writes selection.parquet and balance.json."""
    ranked = rank(run)
    for number in range(run.config.balance.max_waves):
        wave = recorded_wave(run, ranked, number)
        if not wave:
            break
        run.do(media_stage(run, wave))
    outcomes = outcomes_so_far(run, ranked)
    selection = select(ranked, outcomes, run.config.balance)
    run.lock.check()
    run.store.write_table(SELECTION_NAME, selection.table)
    run.store.write_json(BALANCE_NAME, selection.result.document())
    return selection


def rank(run: Run) -> Ranked:
    """Every candidate in its category's seeded order. UserError where there is none."""
    videos = run.store.read_table("videos", ["video_id", "category_id", "channel_id"])
    clips = run.store.read_table("clips", ["video_id", "start_ms", "end_ms"])
    return rank_candidates(candidates_of(videos, clips), run.config.seed)


def recorded_wave(run: Run, ranked: Ranked, number: int) -> list[str]:
    """The wave of this number: as it was written down, or planned now from what the waves before it gave."""
    name = f"waves/{number:05d}.json"
    if run.store.exists(name):
        ids: list[str] = run.store.read_json(name)["video_ids"]
        return ids
    planned = next_wave(ranked, outcomes_so_far(run, ranked), run.config.balance)
    if planned:
        run.lock.check()
        run.store.write_json(name, {"video_ids": planned})
    return planned

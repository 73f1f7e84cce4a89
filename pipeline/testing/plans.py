"""What a plan makes of tables that are given whole: a run reads them piece by piece, tests and benchmarks have them."""

import tempfile
from collections.abc import Iterable

import pyarrow as pa

from manifests.clip_status import is_success
from manifests.reasons import Reason
from pipeline.balance.clip_lists import ClipLists, clip_lists, empty_clip_lists
from pipeline.balance.duplicates import Pictures
from pipeline.balance.standing import TURNED_AWAY, Duplicates, Outcomes, all_failed, outcomes_with
from pipeline.config.media import DuplicatesConfig
from pipeline.engine.store import Store


def outcomes_of(
    packs: Iterable[pa.Table],
    rejects: pa.Table,
    duplicates: Duplicates | None = None,
    already_kept: ClipLists | None = None,
) -> Outcomes:
    """Outcomes from tables with columns of PACKS (video_id, n, duration_ms, status, reason), a video in one of them,
    and from rejects in force (manifests.funnel.rejects_in_force). A video whose clips all failed is turned away with
    the reason that most of them have."""
    lists, away = [], []
    for table in packs:
        succeeded = is_success(table.column("status"))
        lists.append(table.filter(succeeded).select(["video_id", "n", "duration_ms"]))
        away.append(all_failed(table, succeeded))
    failed = pa.concat_tables([TURNED_AWAY.empty_table(), *away])
    return outcomes_with(clip_lists(lists), failed, rejects, duplicates or {}, already_kept or empty_clip_lists())


def find_duplicates(packs: pa.Table, config: DuplicatesConfig) -> dict[Reason, dict[str, str]]:
    """DUPLICATE_VIDEO and DUPLICATE_CLIP, STOCK_INTRO: what `Pictures.find` says of them.

    `packs` has the columns of `pipeline.balance.duplicates.COLUMNS`.
    """
    if not config.enabled:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(config, Store(folder))
        pictures.add(packs.sort_by("video_id"))
        return pictures.find(pa.array([], pa.string()))

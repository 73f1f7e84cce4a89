"""Plans from whole tables: a run reads them piece by piece, but tests and benches have them complete."""

import tempfile
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import is_success
from manifests.reasons import Reason
from pipeline.balance.clip_lists import clip_lists
from pipeline.balance.standing import REJECTED_VIDEOS, Duplicates, Outcomes, all_failed
from pipeline.engine.store.store import Store
from pipeline.likeness.pictures import Pictures
from pipeline.likeness.same import LIKENESS, Likeness


def outcomes_of(packs: Iterable[pa.Table], rejects: pa.Table, duplicates: Duplicates | None = None) -> Outcomes:
    """Makes outcomes from tables with columns of PACKS (video_id, n, duration_ms, status, reason) and rejects in force.

    Each video is in a single table. `rejects`: see manifests.funnel.rejects_in_force. A video whose clips all failed
    is rejected with the most common reason of its clips.
    """
    lists, away = [], []
    for table in packs:
        succeeded = is_success(table.column("status"))
        lists.append(table.filter(succeeded).select(["video_id", "n", "duration_ms"]))
        away.append(all_failed(table, succeeded))
    whole = rejects.filter(pc.equal(rejects.column("clip_id"), "")).select(REJECTED_VIDEOS.names)
    return Outcomes(clip_lists(lists), pa.concat_tables([whole, *away]), duplicates or {})


def find_duplicates(packs: pa.Table, rule: Likeness = LIKENESS) -> dict[Reason, dict[str, str]]:
    """Finds DUPLICATE_VIDEO, DUPLICATE_CLIP and STOCK_INTRO, as `Pictures.find_repeats` does.

    `packs` has the columns of `pipeline.likeness.pictures.COLUMNS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(Store(folder), rule=rule)
        pictures.add(packs.sort_by("video_id"))
        return pictures.find_repeats(pa.array([], pa.string()))

"""Plans from whole tables: a run reads them piece by piece, but tests and benches have them complete."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import is_success
from manifests.files import Files
from manifests.reasons import Reason
from manifests.schema import TABLES, table_of
from pipeline.balance.clip_lists import clip_lists
from pipeline.balance.standing import REJECTED_VIDEOS, Duplicates, Outcomes, all_failed
from pipeline.likeness import pictures, texts
from pipeline.likeness.index import Kind, look_through, near_pairs, write_items, write_plain
from pipeline.likeness.same import LIKENESS, Likeness
from pipeline.likeness.texts import SAME_TALK, SameTalk


def outcomes_of(packs: Iterable[pa.Table], rejects: pa.Table, duplicates: Duplicates | None = None) -> Outcomes:
    """Makes outcomes from tables with columns of PACKS (video_id, n, duration_ms, status, reason) and rejects in force.

    Each video is in a single table. `rejects`: see pipeline.query.rejects. A video whose clips all failed
    is rejected with the most common reason of its clips.
    """
    lists, away = [], []
    for table in packs:
        succeeded = is_success(table.column("status"))
        lists.append(table.filter(succeeded).select(["video_id", "n", "duration_ms"]))
        away.append(all_failed(table, succeeded))
    whole = rejects.filter(pc.equal(rejects.column("clip_id"), "")).select(REJECTED_VIDEOS.names)
    return Outcomes(clip_lists(lists), pa.concat_tables([whole, *away]), duplicates or {})


def matches_in(kind: Kind, rows: pa.Table) -> pa.Table:
    """The matches among the items of rows of a kind's table, in their order."""
    items = kind.items(rows)
    with tempfile.TemporaryDirectory() as folder:
        files = Files(folder)
        for path in (kind.items_path(0), *(kind.near_path(0, column) for column in range(kind.n_columns))):
            Path(files.path(path)).parent.mkdir(parents=True, exist_ok=True)
        write_items(items, Path(files.path(kind.items_path(0))))
        for column in range(kind.n_columns):
            near, _ = look_through(files, kind, 0, items, (0, 0), column)
            write_plain(near, Path(files.path(kind.near_path(0, column))))
        found = kind.matches(near_pairs(files, kind, 0, range(kind.n_columns)))
    return table_of(found, TABLES["matches"])


def find_duplicates(packs: pa.Table, rule: Likeness = LIKENESS) -> dict[Reason, dict[str, str]]:
    """Finds DUPLICATE_VIDEO, DUPLICATE_CLIP and STOCK_INTRO, as `pictures.find_repeats` does.

    `packs` has the columns of `pipeline.likeness.pictures.COLUMNS`.
    """
    found = matches_in(pictures.kind_of(rule), packs.sort_by([("video_id", "ascending"), ("n", "ascending")]))
    clips, videos = (found.filter(pc.equal(found.column("what"), what)) for what in (pictures.CLIPS, pictures.VIDEOS))
    return pictures.find_repeats(clips, videos, pa.array([], pa.string()), rule)


def find_reuploads(transcripts: pa.Table, videos: pa.Table, rule: SameTalk = SAME_TALK) -> dict[str, str]:
    """{video_id: the first of the videos that it repeats}, given columns `pipeline.likeness.texts.COLUMNS` of
    `transcripts`, and video_id and duration_s of `videos`.
    """
    rows = transcripts.join(videos.select(["video_id", "duration_s"]), "video_id", join_type="inner")
    return texts.find_repeats(matches_in(texts.kind_of(rule), rows.sort_by("video_id")), videos)

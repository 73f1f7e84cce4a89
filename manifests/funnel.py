"""What became of every candidate, derived from the tables of an output directory: nothing is stored twice.

    candidates = kept + rejected + missing

A candidate is a video that the crawl decided to look at, or that a source brought. It is kept where the selection
kept clips of it, rejected where a reject is in force or the selection left it out, and missing where it came past one
stage and the next has neither a row nor a reject of it. The three are found apart, so that the sum can be checked.
The latest outcome wins: a reject is void once the video has come past the stage that made it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.errors import DamagedFile
from manifests.reasons import Reason
from manifests.stages import TABLE, rank_of

SELECTION_NAME = "selection.parquet"

OF_BALANCE = {
    Reason.OVER_QUOTA,
    Reason.OVER_CHANNEL_CAP,
    Reason.NOT_NEEDED,
    Reason.DUPLICATE_VIDEO,
    Reason.DUPLICATE_CLIP,
    Reason.DUPLICATE_TEXT,
    Reason.STOCK_INTRO,
    Reason.OPTED_OUT,
}
"""Reasons that the selection itself gives; others it passes on."""


DECIDED_BY = (
    ("candidates", "extract"),
    ("videos", "transcripts"),
    ("transcripts", "clips"),
    ("clips", "balance"),
    ("packs", "balance"),
)
"""(table, stage that decides next on a video with a row there), in the order of the stages."""


class Tables(Protocol):
    """What is needed of an output directory. The pipeline's Store is one."""

    def read_table(self, table: str, columns: list[str] | None = None) -> pa.Table: ...

    def read_rejects(self) -> pa.Table: ...

    def parts(self, table: str) -> Sequence[Any]: ...

    def read_part(self, part: Any, columns: list[str] | None = None) -> pa.Table: ...

    def exists(self, relative: str) -> bool: ...

    def open(self, relative: str) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True)
class RejectCount:
    """So many were turned away at a stage for a reason."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Level:
    """The funnel of videos or of clips. `rejected` by stage in the order of the road, then by count."""

    candidates: int
    kept: int
    missing: int
    rejected: tuple[RejectCount, ...]

    @property
    def n_rejected(self) -> int:
        """All that were turned away."""
        return sum(turned.count for turned in self.rejected)

    @property
    def adds_up(self) -> bool:
        """candidates = kept + rejected + missing."""
        return self.candidates == self.kept + self.n_rejected + self.missing

    def by_reason(self) -> dict[str, int]:
        """Counts by reason over all stages, largest first."""
        counts: dict[str, int] = {}
        for turned in self.rejected:
            counts[turned.reason] = counts.get(turned.reason, 0) + turned.count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class FunnelCounts:
    """Both levels. `listed`: different videos in the listings, also those that nobody needed to look at."""

    listed: int
    videos: Level
    clips: Level

    def document(self) -> dict[str, Any]:
        """As manifest.json has it."""
        return asdict(self)


def read_selection(tables: Tables, columns: list[str] | None = None) -> pa.Table | None:
    """selection.parquet, or None where no balance has run."""
    if not tables.exists(SELECTION_NAME):
        return None
    try:
        with tables.open(SELECTION_NAME) as file:
            return pq.read_table(file, columns=columns)
    except (pa.ArrowException, KeyError, OSError) as error:
        reason = (str(error).splitlines() or [""])[0][:300]
        raise DamagedFile(f"{SELECTION_NAME}: is no table of a selection ({reason}); restore or delete it") from None


# rejects in force


def rejects_in_force(tables: Tables) -> pa.Table:
    """Of whole videos and of clips, the latest reject each (manifests.schema.REJECTS) that nothing has made void."""
    rejects = tables.read_rejects()
    stages = rejects.column("stage").to_numpy(zero_copy_only=False)
    void = np.zeros(rejects.num_rows, dtype=np.bool_)
    for table in sorted({stage.void_by for stage in TABLE} - {""}):
        rows = np.isin(stages, [stage.name for stage in TABLE if stage.void_by == table])
        if rows.any():
            void |= rows & _passed(tables, table, rejects)
    return _latest(rejects.filter(pa.array(~void)))


def _passed(tables: Tables, table: str, rejects: pa.Table) -> NDArray[np.bool_]:
    """[R] whether the rejected thing has a row that counts in the table where its stage's output goes."""
    columns = {"clips": ["video_id", "clip_id"], "packs": ["video_id", "clip_id", "status"]}.get(table, ["video_id"])
    rows = tables.read_table(table, columns)
    if table == "packs":
        rows = rows.filter(is_success(rows.column("status")))
    videos = _is_in(rejects.column("video_id"), rows.column("video_id"))
    whole = pc.equal(rejects.column("clip_id"), "").to_numpy(zero_copy_only=False)
    if "clip_id" not in columns:
        return np.asarray(videos & whole)
    return np.asarray(np.where(whole, videos, _is_in(rejects.column("clip_id"), rows.column("clip_id"))))


def _latest(rejects: pa.Table) -> pa.Table:
    """The last reject of each video and clip: by time, then by the rank of the stage."""
    rank = pa.array([rank_of(stage) for stage in rejects.column("stage").to_pylist()], pa.int32())
    keys = [("video_id", "ascending"), ("clip_id", "ascending"), ("at", "ascending"), ("rank", "ascending")]
    ordered = rejects.append_column("rank", rank).sort_by(keys).combine_chunks()
    same = np.ones(max(0, ordered.num_rows - 1), dtype=np.bool_)
    for name in ("video_id", "clip_id"):
        column = ordered.column(name)
        same &= pc.equal(column.slice(1), column.slice(0, len(same))).to_numpy(zero_copy_only=False)
    last = np.append(~same, True)[: ordered.num_rows]
    return ordered.filter(pa.array(last)).drop_columns(["rank"])


def _is_in(values: pa.ChunkedArray, among: pa.ChunkedArray) -> NDArray[np.bool_]:
    found = pc.is_in(values, value_set=among.combine_chunks())
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


# counts


def funnel(tables: Tables) -> FunnelCounts:
    """What became of every candidate and of every clip that was planned."""
    rejects = rejects_in_force(tables)
    fates = _fates(tables, rejects)
    listed = pc.count_distinct(tables.read_table("listings", ["video_id"]).column("video_id")).as_py()
    n_missing = sum(map(len, missing_videos(tables, rejects).values()))
    return FunnelCounts(listed, _video_level(fates, n_missing), _clip_level(tables, rejects, fates))


@dataclass(frozen=True, slots=True)
class _Fates:
    """Columns [N], an entry a candidate. `turned`: place in `kinds` of (stage, reason), -1 where not turned away."""

    video_id: pa.Array
    is_kept: NDArray[np.bool_]
    turned: NDArray[np.int64]
    kinds: tuple[tuple[str, str], ...]
    n_clips: NDArray[np.int64]
    n_clips_kept: NDArray[np.int64]

    def rows(self, ids: pa.ChunkedArray) -> NDArray[np.int64]:
        """Each id's row, -1 where it is no candidate."""
        return _row_in(ids, self.video_id)


def _fates(tables: Tables, rejects: pa.Table) -> _Fates:
    whole = rejects.filter(pc.equal(rejects.column("clip_id"), ""))
    selection = read_selection(tables, ["video_id", "reason", "n_clips", "clips_kept"])
    ids = [tables.read_table(name, ["video_id"]).column("video_id") for name in ("candidates", "videos")]
    ids += [whole.column("video_id")] + ([selection.column("video_id")] if selection is not None else [])
    video_id = pc.unique(pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string()))
    n = len(video_id)
    turned, kinds = _turned_by_selection(tables, selection, video_id)
    kept, counts = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    if selection is not None:
        rows = _row_in(selection.column("video_id"), video_id)
        kept[rows] = pc.list_value_length(selection.column("clips_kept")).to_numpy()
        counts[rows] = selection.column("n_clips").to_numpy()
    rows = _row_in(whole.column("video_id"), video_id)
    stages = whole.column("stage").to_numpy(zero_copy_only=False)
    overrides = (kept[rows] == 0) | (stages == "shards")  # what is in the selection is kept, unless its pack was lost
    more, turned_rows = _coded(stages, whole.column("reason").to_numpy(zero_copy_only=False))
    turned[rows[overrides]] = turned_rows[overrides] + len(kinds)
    is_kept = (kept > 0) & (turned < 0)
    return _Fates(video_id, is_kept, turned, (*kinds, *more), counts, kept)


def _turned_by_selection(
    tables: Tables, selection: pa.Table | None, video_id: pa.Array
) -> tuple[NDArray[np.int64], tuple[tuple[str, str], ...]]:
    """[N] the selection's reasons, each with the stage that it comes from."""
    turned = np.full(len(video_id), -1, dtype=np.int64)
    if selection is None:
        return turned, ()
    left_out = selection.filter(pc.not_equal(selection.column("reason"), ""))
    reason = left_out.column("reason").to_numpy(zero_copy_only=False)
    tried = _is_in(left_out.column("video_id"), tables.read_table("packs", ["video_id"]).column("video_id"))
    stage = np.where(tried & ~np.isin(reason, [r.value for r in OF_BALANCE]), "media", "balance")
    kinds, codes = _coded(stage, reason)
    turned[_row_in(left_out.column("video_id"), video_id)] = codes
    return turned, kinds


def _coded(stage: NDArray[Any], reason: NDArray[Any]) -> tuple[tuple[tuple[str, str], ...], NDArray[np.int64]]:
    """The different (stage, reason) and each row's place among them."""
    pairs = pa.table({"stage": pa.array(stage, pa.string()), "reason": pa.array(reason, pa.string())})
    joined = pc.binary_join_element_wise(pairs.column("stage"), pairs.column("reason"), " ").combine_chunks()
    encoded = pc.dictionary_encode(joined)
    kinds = tuple(tuple(text.split(" ", 1)) for text in encoded.dictionary.to_pylist())
    return kinds, np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)  # type: ignore[return-value]


def _row_in(values: pa.ChunkedArray, among: pa.Array) -> NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(values, value_set=among), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def missing_videos(tables: Tables, rejects: pa.Table | None = None) -> dict[str, list[str]]:
    """{stage: ids} of the videos that a stage should have decided on and has not, in the order of the stages.

    `rejects` are those in force, read where they are not given.
    """
    rejects = rejects_in_force(tables) if rejects is None else rejects
    whole = rejects.filter(pc.equal(rejects.column("clip_id"), "")).column("video_id")
    selection = read_selection(tables, ["video_id", "clips_kept"])
    selected = pa.chunked_array([], pa.string()) if selection is None else selection.column("video_id")
    ids = {table: pc.unique(tables.read_table(table, ["video_id"]).column("video_id")) for table, _ in DECIDED_BY}
    found: dict[str, list[str]] = {}
    for step, (table, stage) in enumerate(DECIDED_BY):
        further = [ids[later] for later, _ in DECIDED_BY[step + 1 :]]
        settled = pa.chunked_array([*whole.chunks, *selected.chunks, *further], pa.string())
        found.setdefault(stage, []).extend(_without(ids[table], settled))
    if selection is not None:
        has_clips = selection.filter(pc.greater(pc.list_value_length(selection.column("clips_kept")), 0))
        made = pa.chunked_array([*whole.chunks, ids["packs"]], pa.string())
        found["media"] = _without(has_clips.column("video_id"), made)
    return {stage: found[stage] for stage in sorted(found, key=rank_of) if found[stage]}


def _without(ids: pa.Array | pa.ChunkedArray, settled: pa.ChunkedArray) -> list[str]:
    open_ = ids.filter(pc.invert(pc.is_in(ids, value_set=settled.combine_chunks())))
    return sorted(open_.to_pylist())


def _video_level(fates: _Fates, n_missing: int) -> Level:
    counts = np.bincount(fates.turned[fates.turned >= 0], minlength=len(fates.kinds))
    return _level(len(fates.video_id), int(fates.is_kept.sum()), n_missing, zip(fates.kinds, counts, strict=True))


def _clip_level(tables: Tables, rejects: pa.Table, fates: _Fates) -> Level:
    """Clips that the text gave: planned ones, and those that the plan itself turned away."""
    n = len(fates.video_id)
    planned = np.bincount(fates.rows(tables.read_table("clips", ["video_id"]).column("video_id")), minlength=n)
    packs = tables.read_table("packs", ["video_id", "status", "reason"])
    failed = packs.filter(pc.invert(is_success(packs.column("status"))))
    n_failed = np.bincount(fates.rows(failed.column("video_id")), minlength=n)
    n_tried = np.bincount(fates.rows(packs.column("video_id")), minlength=n)
    n_made, planned = n_tried - n_failed, np.maximum(planned, n_tried)
    kept = np.where(fates.is_kept, fates.n_clips_kept, 0)
    of_text = rejects.filter(
        pc.and_(pc.equal(rejects.column("stage"), "clips"), pc.not_equal(rejects.column("clip_id"), ""))
    )
    with_video = np.where(fates.turned >= 0, planned - n_failed, 0)
    repeats = np.where(fates.is_kept, np.maximum(0, n_made - fates.n_clips), 0)
    over_quota = np.where(fates.is_kept, np.maximum(0, n_made - repeats - kept), 0)
    away = [
        *_counted("clips", of_text.column("reason")),
        *_counted("media", failed.column("reason")),
        *zip(fates.kinds, _sums(fates.turned, with_video, len(fates.kinds)), strict=True),
        (("balance", Reason.DUPLICATE_CLIP.value), int(repeats.sum())),
        (("balance", Reason.OVER_QUOTA.value), int(over_quota.sum())),
    ]
    waiting = planned - n_failed - np.where(fates.is_kept, n_made, 0)
    n_missing = int(waiting[fates.turned < 0].sum())
    return _level(int(planned.sum()) + of_text.num_rows, int(kept.sum()), n_missing, away)


def _counted(stage: str, reasons: pa.ChunkedArray) -> list[tuple[tuple[str, str], int]]:
    return [((stage, row["values"]), row["counts"]) for row in pc.value_counts(reasons).to_pylist()]


def _sums(key: NDArray[np.int64], amount: NDArray[np.int64], n_keys: int) -> list[int]:
    rows = key >= 0
    return [int(x) for x in np.bincount(key[rows], weights=amount[rows], minlength=n_keys)]


def _level(candidates: int, kept: int, missing: int, away: Any) -> Level:
    counts: dict[tuple[str, str], int] = {}
    for kind, count in away:
        counts[kind] = counts.get(kind, 0) + int(count)
    turned = [RejectCount(stage, reason, count) for (stage, reason), count in counts.items() if count]
    turned.sort(key=lambda t: (rank_of(t.stage), t.stage, -t.count, t.reason))
    return Level(candidates, kept, missing, tuple(turned))

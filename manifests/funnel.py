"""What became of every candidate, derived from the tables of an output directory: nothing is stored twice.

    candidates = kept + rejected + missing

A candidate is a video that the crawl decided to look at, or that another source brought. It is kept if the selection
kept clips of it, rejected if a reject is in force or the selection left it out, and missing if it passed one stage and
the next has neither a row nor a reject of it. The three are determined separately, so that the sum can be checked.
The latest outcome wins: a reject is void once the video has passed the stage that made it.
"""

from dataclasses import asdict, dataclass
from typing import IO, Any, Protocol, TypedDict, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.census import Census, Rows, Tables
from manifests.errors import DamagedFile
from manifests.membership import Ids
from manifests.reasons import Reason
from manifests.rows import SelectionRow
from manifests.stages import rank_of
from manifests.storage import is_of_the_place

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
"""Reasons that the selection itself gives; all others it passes on."""


DECIDED_BY = (
    ("candidates", "extract"),
    ("videos", "transcripts"),
    ("transcripts", "clips"),
    ("clips", "balance"),
    ("packs", "balance"),
)
"""(table, the stage that decides next on a video with a row there), in the order of the stages."""


@dataclass(frozen=True, slots=True)
class RejectCount:
    """How many were rejected at a stage for a reason."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Level:
    """The funnel of videos or of clips. `rejected` is sorted by the order of the stages, then by count."""

    candidates: int
    kept: int
    missing: int
    rejected: tuple[RejectCount, ...]

    @property
    def n_rejected(self) -> int:
        """The total of the rejected."""
        return sum(reject.count for reject in self.rejected)

    @property
    def adds_up(self) -> bool:
        """Whether candidates = kept + rejected + missing."""
        return self.candidates == self.kept + self.n_rejected + self.missing

    def by_reason(self) -> dict[str, int]:
        """Counts by reason over all stages, largest first."""
        counts: dict[str, int] = {}
        for reject in self.rejected:
            counts[reject.reason] = counts.get(reject.reason, 0) + reject.count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class FunnelCounts:
    """Both levels. `listed`: distinct videos in the listings, including those that were never looked at."""

    listed: int
    videos: Level
    clips: Level

    def document(self) -> "FunnelJson":
        """The form in manifest.json."""
        return cast(FunnelJson, asdict(self))


class RejectCountJson(TypedDict):
    """A `RejectCount` in manifest.json."""

    stage: str
    reason: str
    count: int


class LevelJson(TypedDict):
    """A `Level` in manifest.json."""

    candidates: int
    kept: int
    missing: int
    rejected: list[RejectCountJson]


class FunnelJson(TypedDict, total=False):
    """`funnel` in manifest.json; {} if no run made the data set."""

    listed: int
    videos: LevelJson
    clips: LevelJson


class Files(Protocol):
    """What is needed to read a single file."""

    def exists(self, relative: str) -> bool: ...

    def open(self, relative: str) -> IO[bytes]: ...


def read_selection(tables: Files, columns: list[str] | None = None) -> pa.Table | None:
    """Reads selection.parquet; None if no balance has run."""
    if not tables.exists(SELECTION_NAME):
        return None
    try:
        with tables.open(SELECTION_NAME) as file:
            return pq.read_table(file, columns=columns)
    except (pa.ArrowException, KeyError, OSError) as error:
        if is_of_the_place(error):
            raise
        raise _damaged(error) from None


def selected_rows(tables: Files, video_id: str) -> list[SelectionRow]:
    """The rows of selection.parquet for one video; of the other columns only the row group that holds it is read."""
    if not tables.exists(SELECTION_NAME):
        return []
    try:
        with tables.open(SELECTION_NAME) as opened:
            file = pq.ParquetFile(opened, pre_buffer=True)
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["video_id"]).column("video_id")
                rows = np.flatnonzero(pc.equal(ids, video_id).to_numpy(zero_copy_only=False))
                if len(rows):
                    found: list[SelectionRow] = file.read_row_group(group).take(pa.array(rows)).to_pylist()
                    return found
    except (pa.ArrowException, KeyError, OSError) as error:
        if is_of_the_place(error):
            raise
        raise _damaged(error) from None
    return []


def _damaged(error: Exception) -> DamagedFile:
    reason = (str(error).splitlines() or [""])[0][:300]
    return DamagedFile(f"{SELECTION_NAME}: is not a selection table ({reason}); restore or delete it")


# rejects in force


def rejects_in_force(tables: Rows) -> pa.Table:
    """The latest reject (manifests.schema.REJECTS) of each whole video and each clip, if nothing has made it void."""
    return Census(tables, in_full=True).in_force()


def by_stage_and_reason(rejects: pa.Table) -> dict[str, dict[str, int]]:
    """The number of rejects: stages in their order, the most frequent reason first."""
    counted = rejects.group_by(["stage", "reason"]).aggregate([([], "count_all")])
    order = [("count_all", "descending"), ("reason", "ascending")]
    found: dict[str, dict[str, int]] = {}
    for row in counted.sort_by(order).to_pylist():
        found.setdefault(row["stage"], {})[row["reason"]] = row["count_all"]
    return {stage: found[stage] for stage in sorted(found, key=rank_of)}


# counts


def funnel(tables: Tables, census: Census | None = None) -> FunnelCounts:
    """What became of every candidate and of every planned clip. Makes its own census (by clip) if none is given."""
    census = census or Census(tables)
    rejects = census.in_force()
    fates = _fates(tables, census, rejects)
    n_missing = sum(map(len, missing_videos(tables, census).values()))
    return FunnelCounts(
        census.n_distinct("listings"), _video_level(fates, n_missing), _clip_level(census, rejects, fates)
    )


@dataclass(frozen=True, slots=True)
class _Fates:
    """Columns [N], an entry per candidate. `rejected`: index of its (stage, reason) in `kinds`, -1 if not rejected."""

    video_id: pa.Array
    is_kept: NDArray[np.bool_]
    rejected: NDArray[np.int64]
    kinds: tuple[tuple[str, str], ...]
    n_clips: NDArray[np.int64]
    n_clips_kept: NDArray[np.int64]

    def counts(self, ids: pa.Array, n: NDArray[np.int64]) -> NDArray[np.int64]:
        """[N] counts given by id; 0 for candidates without one."""
        spread = np.zeros(len(self.video_id), dtype=np.int64)
        rows = _row_in(ids, self.video_id)
        spread[rows[rows >= 0]] = n[rows >= 0]
        return spread


def _fates(tables: Tables, census: Census, rejects: pa.Table) -> _Fates:
    whole = rejects.filter(pc.equal(rejects.column("clip_id"), ""))
    selection = read_selection(tables, ["video_id", "reason", "n_clips", "clips_kept"])
    ids = [census.count(name).video_id for name in ("candidates", "videos")]
    ids += whole.column("video_id").chunks
    ids += selection.column("video_id").chunks if selection is not None else []
    video_id = pc.unique(pa.chunked_array(ids, pa.string()))
    n = len(video_id)
    rejected, kinds = _rejected_by_selection(census, selection, video_id)
    kept, counts = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    if selection is not None:
        rows = _row_in(selection.column("video_id"), video_id)
        kept[rows] = pc.list_value_length(selection.column("clips_kept")).to_numpy()
        counts[rows] = selection.column("n_clips").to_numpy()
    rows = _row_in(whole.column("video_id"), video_id)
    stages = whole.column("stage").to_numpy(zero_copy_only=False)
    overrides = (kept[rows] == 0) | (stages == "shards")  # what the selection kept is kept, unless its pack was lost
    more, rejected_rows = _coded(stages, whole.column("reason").to_numpy(zero_copy_only=False))
    rejected[rows[overrides]] = rejected_rows[overrides] + len(kinds)
    is_kept = (kept > 0) & (rejected < 0)
    return _Fates(video_id, is_kept, rejected, (*kinds, *more), counts, kept)


def _rejected_by_selection(
    census: Census, selection: pa.Table | None, video_id: pa.Array
) -> tuple[NDArray[np.int64], tuple[tuple[str, str], ...]]:
    """[N] the selection's reasons, each with the stage that it comes from."""
    rejected = np.full(len(video_id), -1, dtype=np.int64)
    if selection is None:
        return rejected, ()
    left_out = selection.filter(pc.not_equal(selection.column("reason"), ""))
    reason = left_out.column("reason").to_numpy(zero_copy_only=False)
    tried = Ids.of(census.count("packs").video_id).holds(left_out.column("video_id"))
    stage = np.where(tried & ~np.isin(reason, [r.value for r in OF_BALANCE]), "media", "balance")
    kinds, codes = _coded(stage, reason)
    rejected[_row_in(left_out.column("video_id"), video_id)] = codes
    return rejected, kinds


def _coded(stage: NDArray[Any], reason: NDArray[Any]) -> tuple[tuple[tuple[str, str], ...], NDArray[np.int64]]:
    """The distinct (stage, reason) pairs, and each row's index among them."""
    pairs = pa.table({"stage": pa.array(stage, pa.string()), "reason": pa.array(reason, pa.string())})
    joined = pc.binary_join_element_wise(pairs.column("stage"), pairs.column("reason"), " ").combine_chunks()
    encoded = pc.dictionary_encode(joined)
    kinds = tuple(tuple(text.split(" ", 1)) for text in encoded.dictionary.to_pylist())
    return kinds, np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)  # type: ignore[return-value]


def _row_in(values: pa.Array | pa.ChunkedArray, among: pa.Array) -> NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(values, value_set=among), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def missing_videos(tables: Tables, census: Census | None = None) -> dict[str, list[str]]:
    """{stage: ids} of videos that a stage should have decided on but has not, in the order of the stages."""
    census = census or Census(tables)
    rejects = census.in_force()
    whole = rejects.filter(pc.equal(rejects.column("clip_id"), "")).column("video_id")
    selection = read_selection(tables, ["video_id", "clips_kept"])
    selected = pa.chunked_array([], pa.string()) if selection is None else selection.column("video_id")
    ids = {table: census.count(table).video_id for table, _ in DECIDED_BY}
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
    counts = np.bincount(fates.rejected[fates.rejected >= 0], minlength=len(fates.kinds))
    return _level(len(fates.video_id), int(fates.is_kept.sum()), n_missing, zip(fates.kinds, counts, strict=True))


def _clip_level(census: Census, rejects: pa.Table, fates: _Fates) -> Level:
    """The level of clips: planned clips, and those that the plan itself rejected."""
    of_clips, of_packs = census.count("clips"), census.count("packs")
    planned = fates.counts(of_clips.video_id, of_clips.n)
    n_tried = fates.counts(of_packs.video_id, of_packs.n)
    n_failed = fates.counts(of_packs.video_id, of_packs.n_failed)
    n_made, planned = n_tried - n_failed, np.maximum(planned, n_tried)
    kept = np.where(fates.is_kept, fates.n_clips_kept, 0)
    of_text = rejects.filter(
        pc.and_(pc.equal(rejects.column("stage"), "clips"), pc.not_equal(rejects.column("clip_id"), ""))
    )
    with_video = np.where(fates.rejected >= 0, planned - n_failed, 0)
    repeats = np.where(fates.is_kept, np.maximum(0, n_made - fates.n_clips), 0)
    over_quota = np.where(fates.is_kept, np.maximum(0, n_made - repeats - kept), 0)
    rejects = [
        *_counted("clips", of_text.column("reason")),
        *((("media", reason), n) for reason, n in sorted(census.failed_by_reason().items())),
        *zip(fates.kinds, _sums(fates.rejected, with_video, len(fates.kinds)), strict=True),
        (("balance", Reason.DUPLICATE_CLIP.value), int(repeats.sum())),
        (("balance", Reason.OVER_QUOTA.value), int(over_quota.sum())),
    ]
    waiting = planned - n_failed - np.where(fates.is_kept, n_made, 0)
    n_missing = int(waiting[fates.rejected < 0].sum())
    return _level(int(planned.sum()) + of_text.num_rows, int(kept.sum()), n_missing, rejects)


def _counted(stage: str, reasons: pa.ChunkedArray) -> list[tuple[tuple[str, str], int]]:
    return [((stage, row["values"]), row["counts"]) for row in pc.value_counts(reasons).to_pylist()]


def _sums(key: NDArray[np.int64], amount: NDArray[np.int64], n_keys: int) -> list[int]:
    rows = key >= 0
    return [int(x) for x in np.bincount(key[rows], weights=amount[rows], minlength=n_keys)]


def _level(candidates: int, kept: int, missing: int, rejects: Any) -> Level:
    counts: dict[tuple[str, str], int] = {}
    for kind, count in rejects:
        counts[kind] = counts.get(kind, 0) + int(count)
    rejected = [RejectCount(stage, reason, count) for (stage, reason), count in counts.items() if count]
    rejected.sort(key=lambda t: (rank_of(t.stage), t.stage, -t.count, t.reason))
    return Level(candidates, kept, missing, tuple(rejected))

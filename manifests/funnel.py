"""What became of every candidate, derived from the tables of an output directory: nothing is stored twice.

    candidates = kept + rejected + missing

A candidate is a video that the crawl decided to look at, or that another source brought. It is kept if the selection
kept clips of it, rejected if a reject is in force or the selection left it out, and missing if it passed a stage and
the next has neither a row nor a reject of it. The three are determined separately, so that the sum can be checked.
The latest outcome wins: a reject is void once the video has passed the stage that made it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any, Protocol, TypedDict, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.census import Census, Counted, Rows, Tables
from manifests.hashing import UInt64
from manifests.membership import NOWHERE, are_in, distinct, hash_ids, rows_in
from manifests.parquet import damage_named, open_parquet
from manifests.reasons import Reason
from manifests.rows import SelectionRow
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
"""Reasons that the selection itself gives; all others it passes on."""


_SHOW_A_PASS = dict.fromkeys(["candidates", *(stage.void_by for stage in TABLE if stage.void_by)])
DECIDED_BY = tuple((table, next(stage.name for stage in TABLE if table in stage.reads)) for table in _SHOW_A_PASS)
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


CURE_OF_SELECTION = "restore it, or delete it: the next run makes it again"
"""What to do about a damaged selection.parquet."""


def selection_runs(tables: Files, columns: list[str]) -> Iterator[pa.Table]:
    """Yields the rows of selection.parquet a row group at a time; nothing if no balance has run."""
    if not tables.exists(SELECTION_NAME):
        return
    with damage_named(SELECTION_NAME, CURE_OF_SELECTION), tables.open(SELECTION_NAME) as opened:
        file = open_parquet(opened)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns).select(columns)


def selected_rows(tables: Files, video_id: str) -> list[SelectionRow]:
    """The rows of selection.parquet for a video; of the other columns only the row group that holds it is read."""
    if not tables.exists(SELECTION_NAME):
        return []
    with damage_named(SELECTION_NAME, CURE_OF_SELECTION), tables.open(SELECTION_NAME) as opened:
        file = open_parquet(opened)
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=["video_id"]).column("video_id")
            rows = np.flatnonzero(pc.equal(ids, video_id).to_numpy(zero_copy_only=False))
            if len(rows):
                selected: list[SelectionRow] = file.read_row_group(group).take(pa.array(rows)).to_pylist()
                return selected
    return []


# rejects in force


def rejects_in_force(tables: Rows) -> pa.Table:
    """The latest reject (manifests.schema.REJECTS) of each whole video and each clip, if nothing has made it void."""
    return Census(tables).in_force()


def by_stage_and_reason(rejects: pa.Table) -> dict[str, dict[str, int]]:
    """The number of rejects: stages in their order, the most frequent reason first."""
    counted = rejects.group_by(["stage", "reason"]).aggregate([([], "count_all")])
    order = [("count_all", "descending"), ("reason", "ascending")]
    counts: dict[str, dict[str, int]] = {}
    for row in counted.sort_by(order).to_pylist():
        counts.setdefault(row["stage"], {})[row["reason"]] = row["count_all"]
    return {stage: counts[stage] for stage in sorted(counts, key=rank_of)}


# counts


def funnel(tables: Tables, census: Census | None = None) -> FunnelCounts:
    """What became of every candidate and of every planned clip. Makes its own census (by clip) if none is given."""
    census = census or Census(tables)
    chosen = _Chosen.read(tables)
    fates = _fates(chosen, census)
    n_missing = sum(len(video) for _, _, video in _open_videos(chosen, census))
    return FunnelCounts(census.n_distinct("listings"), _video_level(fates, n_missing), _clip_level(census, fates))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The selection. Columns [S]: hash of the video, index of its reason in `reasons`, clips that exist, clips kept."""

    video: UInt64
    reason: NDArray[np.int64]
    reasons: list[str]
    n_clips: NDArray[np.int32]
    n_kept: NDArray[np.int32]

    @classmethod
    def read(cls, tables: Files) -> "_Chosen":
        """Reads it; empty if no balance has run."""
        video, reason, n_clips, n_kept = ([np.zeros(0, kind)] for kind in (np.uint64, np.int64, np.int32, np.int32))
        reasons: dict[str, int] = {}
        for rows in selection_runs(tables, ["video_id", "reason", "n_clips", "clips_kept"]):
            encoded = pc.dictionary_encode(rows.column("reason").combine_chunks())
            numbers = [reasons.setdefault(text, len(reasons)) for text in encoded.dictionary.to_pylist()]
            video.append(hash_ids(rows.column("video_id")))
            reason.append(np.array(numbers, np.int64)[encoded.indices.to_numpy()])
            n_clips.append(rows.column("n_clips").to_numpy())
            n_kept.append(pc.list_value_length(rows.column("clips_kept")).to_numpy())
        columns = (np.concatenate(pieces) for pieces in (video, reason, n_clips, n_kept))
        of_video, of_reason, of_clips, of_kept = columns
        return cls(of_video, of_reason, list(reasons), of_clips, of_kept)


@dataclass(frozen=True, slots=True)
class _Fates:
    """Columns [N], an entry per candidate. `rejected`: index of its (stage, reason) in `kinds`, -1 if not rejected."""

    video: UInt64
    """Ascending hashes."""
    is_kept: NDArray[np.bool_]
    rejected: NDArray[np.int32]
    kinds: tuple[tuple[str, str], ...]
    n_clips: NDArray[np.int32]
    n_clips_kept: NDArray[np.int32]

    def counts(self, table: Counted, *columns: NDArray[np.int32]) -> NDArray[np.int32]:
        """[columns, N] a table's counts by candidate; 0 for candidates without rows in it."""
        spread = np.zeros((len(columns), len(self.video)), dtype=np.int32)
        rows = rows_in(self.video, table.video)
        known = rows != NOWHERE
        for counts, column in zip(spread, columns, strict=True):
            counts[rows[known]] = column[known]
        return spread


def _fates(chosen: _Chosen, census: Census) -> _Fates:
    rejects = census.rejected
    candidates = [census.count(name).video for name in ("candidates", "videos")]
    video = distinct(np.concatenate([*candidates, rejects.video, chosen.video]))
    rejected, kinds = _rejected_by_selection(census, chosen, video)
    kept, counts = np.zeros(len(video), dtype=np.int32), np.zeros(len(video), dtype=np.int32)
    rows = np.searchsorted(video, chosen.video)
    kept[rows], counts[rows] = chosen.n_kept, chosen.n_clips
    rows = np.searchsorted(video, rejects.video)
    is_of_shards = np.isin(rejects.kind, rejects.of_stages(["shards"]))
    overrides = (kept[rows] == 0) | is_of_shards  # what the selection kept is kept, unless its pack was lost
    rejected[rows[overrides]] = rejects.kind[overrides] + len(kinds)
    is_kept = (kept > 0) & (rejected < 0)
    return _Fates(video, is_kept, rejected, (*kinds, *rejects.kinds), counts, kept)


def _rejected_by_selection(
    census: Census, chosen: _Chosen, video: UInt64
) -> tuple[NDArray[np.int32], tuple[tuple[str, str], ...]]:
    """[N] the selection's reasons, each with the stage that it comes from."""
    rejected = np.full(len(video), -1, dtype=np.int32)
    if not len(chosen.video):
        return rejected, ()
    of_media = np.array([reason not in {r.value for r in OF_BALANCE} for reason in chosen.reasons])
    tried = are_in(census.count("packs").video, chosen.video) & of_media[chosen.reason]
    left_out = chosen.reason != (chosen.reasons.index("") if "" in chosen.reasons else -1)
    code = 2 * chosen.reason + tried
    rejected[np.searchsorted(video, chosen.video[left_out])] = code[left_out]
    return rejected, tuple((stage, reason) for reason in chosen.reasons for stage in ("balance", "media"))


def missing_videos(tables: Tables, census: Census | None = None) -> dict[str, list[str]]:
    """{stage: ids} of videos that a stage should have decided on but has not, in the order of the stages."""
    census = census or Census(tables)
    missing: dict[str, list[str]] = {}
    for stage, table, video in _open_videos(_Chosen.read(tables), census):
        missing.setdefault(stage, []).extend(_names_of(tables, table, video))
    return {stage: sorted(missing[stage]) for stage in sorted(missing, key=rank_of)}


def _open_videos(chosen: _Chosen, census: Census) -> list[tuple[str, str, UInt64]]:
    """(stage, table with their ids, hashes) of videos that a stage should have decided on but has not."""
    video = {table: census.count(table).video for table, _ in DECIDED_BY}
    rejected, selected = census.rejected.video, np.sort(chosen.video)
    open_videos = []
    for step, (table, stage) in enumerate(DECIDED_BY):
        further = [video[later] for later, _ in DECIDED_BY[step + 1 :]]
        open_videos.append((stage, table, _without(video[table], [rejected, selected, *further])))
    with_clips = chosen.video[chosen.n_kept > 0]
    open_videos.append(("media", SELECTION_NAME, _without(with_clips, [rejected, video["packs"]])))
    return [(stage, table, still) for stage, table, still in open_videos if len(still)]


def _without(video: UInt64, settled: list[UInt64]) -> UInt64:
    for decided in settled:
        video = video[~are_in(decided, video)]
    return np.sort(video)


def _names_of(tables: Tables, table: str, video: UInt64) -> list[str]:
    """The ids with these hashes."""
    columns = ["video_id"]
    runs = selection_runs(tables, columns) if table == SELECTION_NAME else tables.read_runs(table, columns)
    names: set[str] = set()
    for rows in runs:
        ids = rows.column("video_id")
        names.update(ids.filter(pa.array(are_in(video, hash_ids(ids)))).to_pylist())
    return list(names)


def _video_level(fates: _Fates, n_missing: int) -> Level:
    counts = np.bincount(fates.rejected[fates.rejected >= 0], minlength=len(fates.kinds))
    return _level(len(fates.video), int(fates.is_kept.sum()), n_missing, zip(fates.kinds, counts, strict=True))


def _clip_level(census: Census, fates: _Fates) -> Level:
    """The level of clips: planned clips, and those that the plan itself rejected."""
    of_clips, of_packs = census.count("clips"), census.count("packs")
    (planned,) = fates.counts(of_clips, of_clips.n)
    n_tried, n_failed = fates.counts(of_packs, of_packs.n, of_packs.n_failed)
    n_made, planned = n_tried - n_failed, np.maximum(planned, n_tried)
    kept = np.where(fates.is_kept, fates.n_clips_kept, 0)
    rejected = census.rejected
    of_text = [(rejected.kinds[number], rejected.clips[number]) for number in rejected.of_stages(["clips"])]
    with_video = np.where(fates.rejected >= 0, planned - n_failed, 0)
    repeats = np.where(fates.is_kept, np.maximum(0, n_made - fates.n_clips), 0)
    over_quota = np.where(fates.is_kept, np.maximum(0, n_made - repeats - kept), 0)
    rejects = [
        *of_text,
        *((("media", reason), n) for reason, n in sorted(census.failed_by_reason().items())),
        *zip(fates.kinds, _sums(fates.rejected, with_video, len(fates.kinds)), strict=True),
        (("balance", Reason.DUPLICATE_CLIP.value), int(repeats.sum())),
        (("balance", Reason.OVER_QUOTA.value), int(over_quota.sum())),
    ]
    waiting = planned - n_failed - np.where(fates.is_kept, n_made, 0)
    n_missing = int(waiting[fates.rejected < 0].sum())
    return _level(int(planned.sum()) + sum(n for _, n in of_text), int(kept.sum()), n_missing, rejects)


def _sums(key: NDArray[np.int32], amount: NDArray[np.int32], n_keys: int) -> list[int]:
    rows = key >= 0
    return [int(x) for x in np.bincount(key[rows], weights=amount[rows], minlength=n_keys)]


def _level(candidates: int, kept: int, missing: int, rejects: Any) -> Level:
    counts: dict[tuple[str, str], int] = {}
    for kind, count in rejects:
        counts[kind] = counts.get(kind, 0) + int(count)
    rejected = [RejectCount(stage, reason, count) for (stage, reason), count in counts.items() if count]
    rejected.sort(key=lambda t: (rank_of(t.stage), t.stage, -t.count, t.reason))
    return Level(candidates, kept, missing, tuple(rejected))

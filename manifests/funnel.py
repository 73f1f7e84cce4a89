"""What became of every candidate. It follows from the tables of an output directory (pipeline/query/funnel.py).

    candidates = kept + rejected + missing

A candidate is a video that the crawl decided to look at, or that another source brought. It is kept if the selection
kept clips of it, rejected if a reject is in force or the selection left it out, and missing if it passed a stage and
the next has neither a row nor a reject of it. The three are determined separately, so that the sum can be checked.
The latest outcome wins: a reject is void once the video has passed the stage that made it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Protocol, TypedDict, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.parquet import damage_named, open_parquet
from manifests.reasons import Reason
from manifests.rows import SelectionRow

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

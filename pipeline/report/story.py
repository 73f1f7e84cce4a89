"""The story of one video: its way through the tables of an output directory, in words."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Protocol, TypeVar

import pyarrow as pa

from manifests.clip_status import ClipStatus
from manifests.funnel import SELECTION_NAME, selected_rows
from manifests.parquet import parquet_bytes
from manifests.reasons import meaning_of
from manifests.rows import ClipRow, ListingRow, MatchRow, PackRow, RejectRow, SelectionRow, TranscriptRow, VideoRow
from manifests.sample import sample_key
from manifests.schema import REJECTS, SELECTION
from manifests.shards import ShardEntry
from manifests.stages import rank_of
from pipeline.balance.result import REPEATS
from pipeline.query.catalogue import COLUMNS as TABLES
from pipeline.query.catalogue import ORIGIN, SAMPLES
from pipeline.query.streams import stream_tables
from pipeline.report.clip_story import ClipFate, lost_clips

Row = TypeVar("Row")


class LookedUp(Protocol):
    """What the functions here need of an output directory. The pipeline's Store has it."""

    def rows_of(self, video_id: str, columns: Mapping[str, Sequence[str]]) -> dict[str, pa.Table]: ...

    def exists(self, relative: str) -> bool: ...

    def open(self, relative: str) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a video, in the order of the stages."""

    stage: str
    what: str


COLUMNS: Mapping[str, Sequence[str]] = {
    "listings": ["video_id", "source", "query", "position", "round"],
    "videos": ["video_id", "title", "category", "channel_id", "duration_s"],
    "transcripts": ["video_id", "kind", "language", "n_words"],
    "clips": ["video_id", "clip_id", "n", "start_ms", "end_ms"],
    "packs": ["video_id", "clip_id", "n", "status", "reason", "error_message"],
    "matches": ["video_id", "n", "what", "other_video_id", "other_n"],
    "rejects": REJECTS.names,
}
"""By table: what is read of a video."""


IN_FORCE = "SELECT stage, clip_id FROM rejects_in_force"
ENDS = """SELECT clip_id, n, status = 'kept', stage, reason, detail FROM all_clips ORDER BY n, clip_id"""


class _OneVideo:
    """The tables as if they held only one video."""

    def __init__(self, tables: LookedUp, video_id: str) -> None:
        self._rows = tables.rows_of(video_id, COLUMNS)
        self.is_known = any(rows.num_rows for rows in self._rows.values())
        self.selected = selected_rows(tables, video_id) if self.is_known else []

    def rows(self, table: str, kind: type[Row]) -> list[Row]:
        """The video's rows of a table, with the columns that are shown; `kind` is the type of its rows."""
        rows: list[Row] = self._rows[table].to_pylist()
        return rows

    def put_in_shards(self, samples: pa.Table) -> None:
        """Takes the samples of the video that shards hold."""
        self._rows = {**self._rows, "samples": samples}

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]:
        """The same for SQL: what is not read of a table is NULL."""
        rows = self._rows.get(table, TABLES[table].empty_table())
        for column in (*TABLES[table], *ORIGIN):
            if column.name not in rows.schema.names:
                rows = rows.append_column(column, pa.nulls(rows.num_rows, column.type))
        yield rows.select(columns)

    def exists(self, relative: str) -> bool:
        """Whether there is a selection, the only file that SQL asks for."""
        return relative == SELECTION_NAME and bool(self.selected)

    def open(self, relative: str) -> IO[bytes]:
        """The selection, of this video alone."""
        return BytesIO(parquet_bytes(pa.Table.from_pylist(self.selected, schema=SELECTION)))


@dataclass(frozen=True, slots=True)
class Story:
    """A video's way through the tables, the end of each of its clips, and the shards that hold some, by key."""

    steps: tuple[Step, ...]
    clips: tuple[ClipFate, ...]
    shards: Mapping[str, ShardEntry] = field(default_factory=dict)


def where_did_it_go(
    tables: LookedUp, video_id: str, shards_of: Callable[[str], Mapping[str, ShardEntry]] = lambda video_id: {}
) -> Story:
    """A video's way through the tables, its rejects included; without a step if no table has it.

    `shards_of` finds the shards of a video that is known: {key: shard}.
    """
    video = _OneVideo(tables, video_id)
    if not video.is_known:
        return Story((), ())
    shards = shards_of(video_id)
    rejects = sorted(video.rows("rejects", RejectRow), key=lambda reject: reject["at"])
    in_force, fates = _ends(video, video_id, shards)
    steps = [*_story(video), *_selection_step(video.selected, fates, video.rows("matches", MatchRow))]
    steps += [_reject_step(r, (r["stage"], r["clip_id"]) in in_force) for r in rejects if not r["clip_id"]]
    steps += [Step(stage, what) for stage, what in lost_clips(fates)]
    return Story(tuple(sorted(steps, key=lambda step: rank_of(step.stage))), tuple(fates), shards)


def _ends(
    video: _OneVideo, video_id: str, shards: Mapping[str, ShardEntry]
) -> tuple[set[tuple[str, str]], list[ClipFate]]:
    """(stage, clip id) of its rejects in force, and the end of every clip, as the views for SQL have them."""
    spans = {row["n"]: (row["start_ms"], row["end_ms"]) for row in video.rows("clips", ClipRow)}
    numbers = {sample_key(video_id, n): n for n in {*spans, *(row["n"] for row in video.rows("packs", PackRow))}}
    samples = [
        {"key": key, "clip_id": f"{video_id}.{numbers[key]}", "video_id": video_id, "shard": shard.url}
        for key, shard in shards.items()
        if key in numbers
    ]
    of_shards = pa.schema([SAMPLES.field(name) for name in ("key", "clip_id", "video_id", "shard")])
    video.put_in_shards(pa.Table.from_pylist(samples, schema=of_shards))
    with stream_tables(video, IN_FORCE, ENDS) as tables:
        in_force = {(stage, clip_id) for stage, clip_id in tables.rows(IN_FORCE)}
        fates = [ClipFate(clip_id, n, spans.get(n), *end) for clip_id, n, *end in tables.rows(ENDS)]
    return in_force, fates


def _story(tables: _OneVideo) -> Iterator[Step]:
    listings = tables.rows("listings", ListingRow)
    for listing in sorted(listings, key=lambda row: (row["round"], row["source"], row["position"])):
        where = f"position {listing['position']}, round {listing['round']}"
        yield Step("list", f"listed by {listing['source']} {listing['query']!r}, {where}")
    for video in tables.rows("videos", VideoRow):
        length = f"{video['duration_s']:.0f} s"
        yield Step("extract", f"{video['title']!r}, {video['category']}, {length}, {video['channel_id']}")
    for track in tables.rows("transcripts", TranscriptRow):
        yield Step("transcripts", f"{track['kind']} captions in {track['language']}, {track['n_words']} words")
    if clips := tables.rows("clips", ClipRow):
        yield Step("clips", f"{len(clips)} clips planned")
    if packs := tables.rows("packs", PackRow):
        n_made = sum(pack["status"] == ClipStatus.SUCCESS for pack in packs)
        yield Step("media", f"{n_made} of {len(packs)} clips made")


def _selection_step(
    rows: Iterable[SelectionRow], fates: Sequence[ClipFate], matches: Iterable[MatchRow]
) -> Iterator[Step]:
    others = ", ".join(sorted({match["other_video_id"] for match in matches})[:3])
    for row in rows:
        rank = f"rank {row['rank']} of its category"
        if row["kept"]:
            yield Step("balance", f"{rank}: {len(row['clips_kept'])} of {len(fates)} clips kept")
        else:
            alike = f"; alike: {others}" if row["reason"] in REPEATS and others else ""
            yield Step("balance", f"{rank}: left out, {_meaning(row['reason'])}{alike}")


def _reject_step(row: RejectRow, in_force: bool) -> Step:
    detail = f" ({row['detail']})" if row["detail"] else ""
    again = f", next try at {row['next_try_at']}" if row["next_try_at"] and in_force else ""
    void = "" if in_force else ", no longer in force: a later attempt decided"
    return Step(row["stage"], f"rejected at {row['at']}: {_meaning(row['reason'])}{detail}{again}{void}")


def _meaning(reason: str) -> str:
    """A reason with its one-line explanation."""
    meaning = meaning_of(reason)
    return f"{reason} ({meaning})" if meaning else reason

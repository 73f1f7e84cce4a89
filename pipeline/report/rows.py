"""The clips of all shards as columns: what the report counts for each clip; and whole rows of a few."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.schema import SHARD_ROWS
from manifests.shards import member_offsets
from pipeline.engine.progress import counted
from pipeline.engine.store import Store
from pipeline.shards.files import read_rows
from pipeline.shards.stage import read_entries

READERS = 8
"""Shards whose rows are read at a time: a bucket answers many requests as fast as one."""
SHARD_COLUMN = "shard"
COUNTED = ["key", "clip_id", "video_id", "channel_id", "category_id", "duration_ms", "width", "height", "fps", "codec"]


class WholeRow(TypedDict):
    """The columns of a shard's row that the page shows, with the path of the shard."""

    key: str
    url: str
    caption: str
    status: str
    category_id: int
    channel_id: str
    duration_ms: int
    height: int
    fps: float
    codec: str
    members: str
    shard: str


WHOLE = [name for name in WholeRow.__annotations__ if name != SHARD_COLUMN]
_JSON_OFFSET = r'"json": ?\[(?P<at>\d{1,18}), ?(?P<size>\d{1,18})\]'
CLIP_COLUMNS = pa.schema(
    [
        *(SHARD_ROWS.field(name) for name in COUNTED),
        (SHARD_COLUMN, pa.string()),
        ("n_words", pa.int32()),
        ("json_offset", pa.int64()),  # of KEY.json in the shard; -1 if the row names none
        ("json_bytes", pa.int64()),
    ]
)


def read_clips(store: Store) -> tuple[pa.Table, int, int]:
    """(CLIP_COLUMNS of every clip of every shard, number of shards, number of clips that failed).

    About 150 bytes per clip in memory, whatever its caption. UserError if a shard's rows are missing or unreadable.
    """
    urls = [entry.url for entry in read_entries(store)]
    with ThreadPoolExecutor(READERS) as pool:
        read = list(counted(pool.map(lambda url: _counted(store, url), urls), len(urls), "report"))
    tables = [table for table, _ in read]
    return pa.concat_tables([CLIP_COLUMNS.empty_table(), *tables]), len(urls), sum(failed for _, failed in read)


def _counted(store: Store, url: str) -> tuple[pa.Table, int]:
    """(the shard's clips, the number that failed)."""
    rows = read_rows(store, url, [*COUNTED, "status", "caption", "members"])
    good = rows.filter(is_success(rows.column("status")))
    offset = pc.extract_regex(good.column("members"), pattern=_JSON_OFFSET)
    words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(good.column("caption"))))
    columns = {
        **{name: good.column(name) for name in COUNTED},
        SHARD_COLUMN: pa.array([url] * good.num_rows, pa.string()),
        "n_words": words,
        "json_offset": _number(offset, "at"),
        "json_bytes": _number(offset, "size"),
    }
    return pa.table(columns).cast(CLIP_COLUMNS), rows.num_rows - good.num_rows


def _number(offset: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.struct_field(offset, name).cast(pa.int64()), -1)


def whole_rows(store: Store, chosen: pa.Table) -> list[WholeRow]:
    """The shards' rows (WHOLE) of these few clips, in their order, with the shard's path; reads the shards again."""
    wanted = list(zip(chosen.column(SHARD_COLUMN).to_pylist(), chosen.column("key").to_pylist(), strict=True))
    found: dict[tuple[str, str], WholeRow] = {}
    for url in dict.fromkeys(url for url, _ in wanted):
        rows = read_rows(store, url, WHOLE)
        rows = rows.filter(is_success(rows.column("status")))
        keys = pa.array([key for shard, key in wanted if shard == url], pa.string())
        for row in rows.filter(pc.is_in(rows.column("key"), value_set=keys)).to_pylist():
            found[url, row["key"]] = cast(WholeRow, {**row, SHARD_COLUMN: url})
    return [found[pair] for pair in wanted if pair in found]


def evenly(clips: pa.Table, most: int) -> pa.Table:
    """At most `most` of the clips, evenly spaced in the order of the shards."""
    n = clips.num_rows
    indices = np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.empty(0, np.int64)
    return clips.take(pa.array(indices))


def words_of(clips: pa.Table) -> NDArray[np.float64]:
    """[C] the number of words of each caption."""
    return np.asarray(clips.column("n_words").to_numpy(), dtype=np.float64)


def seconds_of(clips: pa.Table) -> NDArray[np.float64]:
    """[C] the length of each clip in seconds."""
    return np.asarray(clips.column("duration_ms").to_numpy(), dtype=np.float64) / 1000


def counts_of(clips: pa.Table, columns: Sequence[str]) -> dict[tuple[Any, ...], int]:
    """{(values of the columns): number of clips}."""
    counted = clips.group_by(list(columns)).aggregate([([], "count_all")])
    return {tuple(row[name] for name in columns): row["count_all"] for row in counted.to_pylist()}


def members_of(row: WholeRow) -> dict[str, tuple[int, int]]:
    """{extension: (offset in the tar, size)} for the members in a shard's row."""
    return member_offsets(row["members"])

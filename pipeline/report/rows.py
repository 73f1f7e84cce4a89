"""The rows of shards: of every clip what the report counts, shard by shard; whole rows of a few."""

from dataclasses import dataclass
from typing import TypedDict, cast

import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import is_success
from manifests.shards import member_offsets
from pipeline.engine.store.store import Store
from pipeline.report.places import Ints
from pipeline.shards.files import read_rows

NO_SAMPLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What a damaged sample raises: the page omits the sample, and `verify` says what is wrong with it."""
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
LOOKED_AT = pa.schema(
    [
        (SHARD_COLUMN, pa.string()),
        ("json_offset", pa.int64()),  # of KEY.json in the shard; -1 if the row names none
        ("json_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class ShardClips:
    """The clips of one shard."""

    url: str
    rows: pa.Table
    """COUNTED and `n_words` of every sample."""
    looked_at: pa.Table
    """LOOKED_AT of those samples whose KEY.json is to be read."""


def read_shard(store: Store, url: str, looked_at: Ints) -> ShardClips:
    """The clips of a shard. `looked_at`: indices among its samples. UserError if its rows are missing or unreadable."""
    members = ["members"] if len(looked_at) else []
    rows = read_rows(store, url, [*COUNTED, "status", "caption", *members])
    good = rows.filter(is_success(rows.column("status")))
    words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(good.column("caption"))))
    chosen = looked_at[looked_at < good.num_rows]
    return ShardClips(
        url,
        good.select(COUNTED).append_column("n_words", words.cast(pa.int32())),
        _places_of_json(url, good.column("members").take(pa.array(chosen))) if members else LOOKED_AT.empty_table(),
    )


def _places_of_json(url: str, members: pa.ChunkedArray) -> pa.Table:
    offset = pc.extract_regex(members, pattern=_JSON_OFFSET)
    urls = pa.array([url] * len(members), pa.string())
    return pa.table([urls, _number(offset, "at"), _number(offset, "size")], schema=LOOKED_AT)


def _number(offset: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.struct_field(offset, name).cast(pa.int64()), -1)


def whole_rows(store: Store, chosen: pa.Table) -> list[WholeRow]:
    """The shards' rows (WHOLE) of these few clips, in their order, with the shard's path; reads the shards again."""
    wanted = list(zip(chosen.column(SHARD_COLUMN).to_pylist(), chosen.column("key").to_pylist(), strict=True))
    row_of: dict[tuple[str, str], WholeRow] = {}
    for url in dict.fromkeys(url for url, _ in wanted):
        rows = read_rows(store, url, WHOLE)
        rows = rows.filter(is_success(rows.column("status")))
        keys = pa.array([key for shard, key in wanted if shard == url], pa.string())
        for row in rows.filter(pc.is_in(rows.column("key"), value_set=keys)).to_pylist():
            row_of[url, row["key"]] = cast(WholeRow, {**row, SHARD_COLUMN: url})
    return [row_of[pair] for pair in wanted if pair in row_of]


def members_of(row: WholeRow) -> dict[str, tuple[int, int]]:
    """{extension: (offset in the tar, size)} for the members in a shard's row."""
    return member_offsets(row["members"])

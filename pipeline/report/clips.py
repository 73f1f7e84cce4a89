"""What the report keeps of the clips of all shards: counts by value, and a few clips to look at.

Shards are read some at a time, and nothing of them stays that grows with the clips but four bytes of each: its number
in its video while the shards are read, and then its place (`places.py`) with what marks it.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import hash_texts
from manifests.schema import SHARD_ROWS
from manifests.shards import ShardEntry
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.report.places import Ints, Numbered, Places
from pipeline.report.rows import LOOKED_AT, SHARD_COLUMN, ShardClips, read_shard
from pipeline.report.tally import Lowest, N, Tally, Values
from pipeline.shards.closed import read_entries

READERS = 8
"""Shards whose rows are read at a time: a bucket answers many requests as fast as a single request."""
SHARDS_AT_A_TIME = 32
"""Shards that are added up together: 64,000 clips of the usual 2,000 a shard."""
LOOKED_AT_MOST = 2000
"""Clips whose json is read: enough to measure shares to one per cent, few enough for a bucket."""
DRAWN = 2
"""Clips of a category that are shown."""


def _schema(*names: str) -> pa.Schema:
    own = {"n_words": pa.field("n_words", pa.int32())}
    return pa.schema([own.get(name) or SHARD_ROWS.field(name) for name in names])


COUNTS = {
    "channels": _schema("channel_id"),
    "sizes": _schema("width", "height"),
    "rates": _schema("fps"),
    "codecs": _schema("codec"),
    "lengths": _schema("category_id", "duration_ms"),
    "speech": _schema("duration_ms", "n_words"),
}
"""By name of a count: the columns whose combinations are counted."""

_NONE_DRAWN = pa.schema([("key", pa.string()), ("category_id", pa.int32()), (SHARD_COLUMN, pa.string())]).empty_table()


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips of all shards. `counts`: the columns of COUNTS and `n`, by name."""

    n: int
    n_shards: int
    counts: dict[str, pa.Table]
    places: Places
    looked_at: pa.Table
    """LOOKED_AT of evenly chosen clips."""
    drawn: pa.Table
    """`key`, `category_id` and `shard` of the clips to show, in the order of the draw."""

    def times(self, name: str) -> dict[tuple[Any, ...], int]:
        """{(values of the columns): number of clips}, for a name in COUNTS."""
        columns = [column.to_pylist() for column in self.counts[name].columns]
        return {tuple(row[:-1]): row[-1] for row in zip(*columns, strict=True)}

    def seconds(self, category_id: int | None = None) -> Values:
        """The lengths of the clips, of a category or of all."""
        table = self.counts["lengths"]
        if category_id is not None:
            table = table.filter(pc.equal(table.column("category_id"), category_id))
        return Values.of(table.column("duration_ms").to_numpy() / 1000, table.column(N).to_numpy())

    def words(self) -> Values:
        """The words of the captions."""
        table = self.counts["speech"]
        return Values.of(table.column("n_words").to_numpy(), table.column(N).to_numpy())

    def words_per_second(self) -> Values:
        """The words a second."""
        table = self.counts["speech"]
        seconds = (table.column("duration_ms").to_numpy() / 1000).clip(min=0.001)
        return Values.of(table.column("n_words").to_numpy() / seconds, table.column(N).to_numpy())

    def categories(self) -> dict[int, int]:
        """{category: number of clips}."""
        summed = self.counts["lengths"].group_by("category_id").aggregate([(N, "sum")]).sort_by("category_id")
        return {row["category_id"]: row[f"{N}_sum"] for row in summed.to_pylist()}


def read_clips(store: Store, seed: int = 0) -> Clips:
    """Reads the rows of every shard; `seed` draws the clips to show.

    UserError if a shard's rows are missing or unreadable.
    """
    entries = read_entries(store)
    shards = counted(_read(store, entries), len(entries), "report")
    adding = _Adding(seed)
    while chunk := list(islice(shards, SHARDS_AT_A_TIME)):
        adding.take(chunk)
    return adding.clips(len(entries))


def _read(store: Store, entries: Sequence[ShardEntry]) -> Iterator[ShardClips]:
    chosen = evenly([entry.nsamples for entry in entries], LOOKED_AT_MOST)
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(entries), SHARDS_AT_A_TIME):
            chunk = slice(first, first + SHARDS_AT_A_TIME)
            urls = [entry.url for entry in entries[chunk]]
            yield from pool.map(lambda url, looked_at: read_shard(store, url, looked_at), urls, chosen[chunk])


def evenly(sizes: Sequence[int], most: int) -> list[Ints]:
    """For each shard of `sizes` clips the indices of those that are looked at: at most `most`, evenly spaced."""
    ends = np.cumsum(np.array(sizes, np.int64))
    n = int(ends[-1]) if len(ends) else 0
    chosen = np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.zeros(0, np.int64)
    starts = ends - np.array(sizes, np.int64)
    of_shards = np.split(chosen, np.searchsorted(chosen, ends[:-1])) if len(ends) else []
    return [indices - start for indices, start in zip(of_shards, starts.tolist(), strict=True)]


class _Adding:
    """Adds up shards."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._n = 0
        self._tallies = {name: Tally(schema) for name, schema in COUNTS.items()}
        self._numbered: list[Numbered] = []
        self._looked_at = [LOOKED_AT.empty_table()]
        self._drawn = Lowest(["category_id"], DRAWN)

    def take(self, shards: Sequence[ShardClips]) -> None:
        """Adds some shards."""
        rows = pa.concat_tables([shard.rows for shard in shards]).combine_chunks()
        self._n += rows.num_rows
        for tally in self._tallies.values():
            tally.add(rows)
        self._numbered.append(Numbered.of(rows.column("video_id"), rows.column("clip_id")))
        self._looked_at += [shard.looked_at for shard in shards if shard.looked_at.num_rows]
        self._draw(rows, shards)

    def _draw(self, rows: pa.Table, shards: Sequence[ShardClips]) -> None:
        of_shard = np.repeat(np.arange(len(shards)), [shard.rows.num_rows for shard in shards])
        urls = pa.array([shard.url for shard in shards], pa.string()).take(pa.array(of_shard))
        hashes = hash_texts(rows.column("key").combine_chunks(), self._seed)
        self._drawn.add(
            rows.select(["key", "category_id"])
            .append_column(SHARD_COLUMN, urls)
            .append_column("drawn", pa.array(hashes, pa.uint64()))
        )

    def clips(self, n_shards: int) -> Clips:
        """The sum."""
        drawn = self._drawn.rows()
        return Clips(
            n=self._n,
            n_shards=n_shards,
            counts={name: tally.counts() for name, tally in self._tallies.items()},
            places=Places.of(self._numbered),
            looked_at=pa.concat_tables(self._looked_at),
            drawn=_NONE_DRAWN if drawn is None else drawn.select(_NONE_DRAWN.column_names),
        )

"""What an output directory knows of videos that are to be removed, and which of its shards hold them.

The tables are read some row groups at a time. Of the shards, only those are read that may hold such a video: what
each generation contains was written down when it was closed (`alike/closed/`, pipeline/shards/closed.py). Where that is
missing, as in merged sets, the rows of all its shards are read. Reads go side by side.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.errors import DamagedFile
from manifests.origin import origin_of
from manifests.parallel import READERS, side_by_side
from manifests.shards import ShardEntry
from pipeline.dataset.reach import COLUMNS, covered, is_in
from pipeline.engine.store.store import Store
from pipeline.outdir.sayings import Sayings
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.closed import Held, committed_shards, kept_held, read_entries
from pipeline.shards.files import read_rows

SHARD_COLUMNS = ["video_id", "channel_id", "url", "key", "status"]
SAID_COLUMNS = ["clip_id", "caption"]


@dataclass
class Holders:
    """What is here of the videos that `asked` or `covering`, which includes earlier removals, cover."""

    asked: Tombstones
    covering: Tombstones
    videos: set[str] = field(default_factory=set)
    """Ids of the videos here that `asked` covers."""
    gone: set[str] = field(default_factory=set)
    """Ids of those that `covering` covers."""
    named: set[str] = field(default_factory=set)
    """Ids, channels and addresses of `asked` that match something here."""
    sayings: Sayings = field(default_factory=lambda: Sayings(Tombstones()))
    """The sentences to look for: those of `asked`, and all if a removal was interrupted."""
    clips: set[str] = field(default_factory=set)
    """Ids of the clips in shards that say one of them."""
    keys: list[str] = field(default_factory=list)
    """Keys of the samples in closed shards that `asked` covers."""
    shards: set[str] = field(default_factory=set)
    """Urls of the shards that hold something that `covering` covers, or that an interrupted removal left half done."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """The ids, channels and addresses of `asked` that match nothing here, sorted."""
        return tuple(sorted((self.asked.videos | self.asked.channels | self.asked.urls) - self.named))

    def add(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Takes up rows with video_id, channel_id and perhaps url; returns [N] which ones `asked` covers."""
        asked, covering = (covered(rows, ids) for ids in (self.asked, self.covering))
        self.videos.update(rows.column("video_id").filter(pa.array(asked)).to_pylist())
        self.gone.update(rows.column("video_id").filter(pa.array(covering)).to_pylist())
        by_name = self.asked.videos | self.asked.urls
        for column, wanted in (("video_id", by_name), ("channel_id", self.asked.channels)):
            self.named.update(pc.unique(rows.column(column).filter(is_in(rows, column, wanted))).to_pylist())
        if by_name:
            self.named.update(by_name & {origin_of(url) for url in _addresses(rows.filter(pa.array(asked)))})
        return asked


def _addresses(rows: pa.Table) -> list[str]:
    return pc.unique(rows.column("url")).to_pylist() if "url" in rows.column_names else []


def find_holders(store: Store, asked: Tombstones, covering: Tombstones) -> Holders:
    """Looks through tables and shards. Raises UserError if a shard is missing or its rows are unreadable."""
    holders = Holders(asked, covering, sayings=sayings_of(asked, covering))
    ids = [pa.array([], pa.string())]
    for rows in store.read_runs("videos", COLUMNS):
        holders.add(rows)
        ids += rows.column("video_id").chunks
    for rows in store.read_runs("listings", ["video_id", "channel_id"]):
        holders.add(rows)
    closed = read_entries(store)
    opened = list(committed_shards(store, but={entry.url for entry in closed}).values())
    half_done = _half_done(store, [*closed, *opened])
    everywhere = {entry.url for entry in closed if holders.sayings}  # what shards say was not written down
    urls = everywhere | half_done | {entry.url for entry in opened}
    urls |= set(_may_hold(store, closed, holders, pa.chunked_array(ids)))
    _look_into(store, [entry for entry in (*closed, *opened) if entry.url in urls], holders, {e.url for e in closed})
    holders.shards |= half_done
    return holders


def sayings_of(asked: Tombstones, covering: Tombstones) -> Sayings:
    """The sentences that a removal has to look for; after an interrupted one all that there are."""
    return Sayings(covering if covering.under_way else Tombstones(texts=asked.texts))


def channels_among(store: Store, names: Collection[str]) -> set[str]:
    """Which of these names are channels here."""
    if not names:
        return set()
    ids = Tombstones(channels=frozenset(names))
    return find_holders(store, ids, ids).named


def _half_done(store: Store, entries: Sequence[ShardEntry]) -> set[str]:
    """The shards whose tars have another size than their entries say: a removal was interrupted after them."""
    folders = {entry.url.rpartition("/")[0] for entry in entries}
    sizes = {f"{folder}/{name}": size for folder in folders for name, size in store.sizes(folder).items()}
    for entry in entries:
        if entry.url not in sizes:
            raise DamagedFile(f"{store.url}/{entry.url}: no such file; restore it, `verify` names all that is missing")
    return {entry.url for entry in entries if sizes[entry.url] != entry.bytes_}


def _may_hold(store: Store, closed: Sequence[ShardEntry], holders: Holders, in_table: pa.ChunkedArray) -> Iterator[str]:
    """Yields the urls of the shards of the generations that may hold such a video.

    A video that is not in the table may come from an address that is to be removed; only a shard's rows tell that.
    """
    by_generation: dict[int, list[ShardEntry]] = {}
    for entry in closed:
        by_generation.setdefault(entry.generation, []).append(entry)
    kept = side_by_side(lambda item: kept_held(store, *item), by_generation.items())
    held = dict(zip(by_generation, kept, strict=True))
    by_address = holders.covering.videos or holders.covering.urls or holders.covering.hashed
    strangers = _strangers(held, in_table) if by_address else pa.array([], pa.string())
    videos = pa.chunked_array([pa.array(sorted(holders.gone | holders.covering.videos), pa.string()), strangers])
    channels = pa.array(sorted(holders.covering.channels), pa.string())
    for generation, entries in by_generation.items():
        contents = held[generation]
        if contents is None or _has(contents, videos, channels):
            yield from (entry.url for entry in entries)


def _strangers(held: Mapping[int, Held | None], in_table: pa.ChunkedArray) -> pa.Array:
    """The videos in these generations that are not in the table."""
    ids = [contents.video_id for contents in held.values() if contents is not None]
    there = pa.chunked_array(ids or [pa.array([], pa.string())])
    return there.filter(pc.invert(pc.is_in(there, value_set=in_table.combine_chunks()))).combine_chunks()


def _has(contents: Held, videos: pa.ChunkedArray, channels: pa.Array) -> bool:
    of_videos = pc.is_in(contents.video_id, value_set=videos.combine_chunks())
    return bool(pc.any(pc.or_(of_videos, pc.is_in(contents.channel_id, value_set=channels))).as_py())


def _look_into(store: Store, entries: Sequence[ShardEntry], holders: Holders, closed: Collection[str]) -> None:
    """Reads the rows of these shards and notes which hold what."""
    columns = [*SHARD_COLUMNS, *(SAID_COLUMNS if holders.sayings else ())]
    with ThreadPoolExecutor(READERS) as readers:
        for entry, rows in zip(
            entries, readers.map(lambda entry: read_rows(store, entry.url, columns), entries), strict=True
        ):
            asked = holders.add(rows)
            says = _says(rows, holders)
            if covered(rows, holders.covering).any() or says.any():
                holders.shards.add(entry.url)
            if entry.url in closed:
                samples = np.array(is_success(rows.column("status")).to_numpy(), np.bool_)
                holders.keys += rows.column("key").filter(pa.array((asked | says) & samples)).to_pylist()


def _says(rows: pa.Table, holders: Holders) -> NDArray[np.bool_]:
    """[N] which rows of a shard say one of the sentences; notes their clips."""
    if not holders.sayings:
        return np.zeros(rows.num_rows, np.bool_)
    says = np.array([holders.sayings.in_(text) for text in rows.column("caption").to_pylist()], np.bool_)
    holders.clips.update(rows.column("clip_id").filter(pa.array(says)).to_pylist())
    return says

"""The contents of closed shards as flat columns: the rows of each shard are read once.

At each plan a driver asks which clips may no longer change, which of those made are in no shard yet, and which splits
are settled: it keeps a few bytes of each video (`books.py`, `places.py`). What it reads of a generation's shards it
stores in `alike/closed/<generation>/` for the next driver, in one file named after the shards; if that is missing,
damaged or of other shards, the shards are read.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.membership import Ids, hash_ids
from manifests.parallel import READERS, side_by_side
from manifests.parquet import open_parquet
from manifests.shards import TABLE_NAME, ShardEntry
from manifests.shards import read_entries as entries_of_table
from pipeline.balance.clip_lists import ClipLists, smallest
from pipeline.engine.store.new_parts import KnownUnits
from pipeline.engine.store.store import Store
from pipeline.outdir.remade import ALIKE
from pipeline.shards.clips import Int64, PlanVideos
from pipeline.shards.draw import SPLITS, Codes
from pipeline.shards.files import read_rows

COLUMNS = ["video_id", "channel_id", "clip_id", "duration_ms", "status"]
_FAILED = -1
FOLDER = f"{ALIKE}/closed"
_FILE = pa.schema(
    [
        ("video_id", pa.string()),
        ("channel_id", pa.string()),
        ("split", pa.int8()),
        ("n", pa.list_(pa.int32())),
        ("ms", pa.list_(pa.int32())),
    ]
)


@dataclass(frozen=True, slots=True)
class Held:
    """The contents of some shards.

    Columns [V] of videos; clip k of video i is at starts[i] + k: its number, and its duration in ms, -1 if it failed. A
    clip may be there as failed and again, from a later shard, as a sample.
    """

    video_id: pa.Array
    channel_id: pa.Array
    split: Codes
    starts: Int64
    n: NDArray[np.int32]
    ms: NDArray[np.int32]

    def is_sample(self) -> NDArray[np.bool_]:
        """[C] whether a clip was made."""
        return np.asarray(self.ms != _FAILED)

    def samples(self) -> ClipLists:
        """The clips that were made."""
        good = self.is_sample()
        starts = self.starts - np.searchsorted(np.flatnonzero(~good), self.starts)
        filled = np.flatnonzero(np.diff(starts))
        ids = self.video_id.take(pa.array(filled))
        return ClipLists(ids, np.append(starts[filled], starts[-1]), smallest(self.n[good]), smallest(self.ms[good]))


class ClosedShards:
    """Which shards are closed, 8 bytes for each; the contents of each are read once.

    `next_generation`: the number after those of all closed ones; `numbers`: those of the shards of each split;
    `samples`: how many there are, by (split, category id).
    """

    def __init__(self) -> None:
        self.next_generation = 0
        self.numbers: dict[str, set[int]] = {}
        self.samples: Counter[tuple[str, int]] = Counter()
        self._known = KnownUnits()

    def new(self, store: Store) -> Iterator[tuple[int, Held]]:
        """Yields the contents of the shards that were closed since the last call, a generation at a time, in order."""
        by_generation: dict[int, list[ShardEntry]] = {}
        for entry in read_entries(store, self._new_of):
            by_generation.setdefault(entry.generation, []).append(entry)
        generations = sorted(by_generation)
        for some in (generations[i : i + READERS] for i in range(0, len(generations), READERS)):
            held = _held(store, {generation: by_generation[generation] for generation in some})
            for generation in some:
                self.note(by_generation[generation])
                yield generation, held.pop(generation)
                self._known.add(hash_ids(pa.array(f"{it.url} {it.sha256}" for it in by_generation[generation])))

    def note(self, entries: Iterable[ShardEntry]) -> None:
        """Takes note that these shards are there, whether or not the manifest lists them by now."""
        for entry in entries:
            number = int(entry.url.rpartition("/")[2].removesuffix(".tar"))
            if number not in (numbers := self.numbers.setdefault(entry.split, set())):
                self.samples.update({(entry.split, category_id): n for category_id, n in entry.categories.items()})
            numbers.add(number)
            self.next_generation = max(self.next_generation, entry.generation + 1)

    def _new_of(self, rows: pa.Table) -> pa.Table:
        names = pc.binary_join_element_wise(*(rows.column(name).cast(pa.string()) for name in ("url", "sha256")), " ")
        return rows.filter(pa.array(self._known.are_new(hash_ids(names))))


def _held(store: Store, by_generation: Mapping[int, Sequence[ShardEntry]]) -> dict[int, Held]:
    """The contents of these shards by generation, from the stored files where there are any."""
    found = side_by_side(lambda item: kept_held(store, *item), by_generation.items())
    kept = dict(zip(by_generation, found, strict=True))
    return {generation: kept[generation] or _keep(store, generation, by_generation[generation]) for generation in kept}


def _path(generation: int, entries: Sequence[ShardEntry]) -> tuple[str, str]:
    """The folder of a generation, and the file name in it for the contents of these shards."""
    names = "\n".join(f"{entry.url} {entry.split} {entry.sha256}" for entry in entries)
    return f"{FOLDER}/{generation:05d}", f"{hashlib.sha256(names.encode()).hexdigest()[:32]}.parquet"


def kept_held(store: Store, generation: int, entries: Sequence[ShardEntry]) -> Held | None:
    """The contents of these shards, all of their generation, from the stored file; None if that is not there."""
    try:
        data = store.read("/".join(_path(generation, entries)))
        return _held_in(open_parquet(data).read().cast(_FILE))
    except (FileNotFoundError, ValueError, pa.ArrowException):
        return None


def _keep(store: Store, generation: int, entries: Sequence[ShardEntry]) -> Held:
    """Reads the contents of these shards, and stores them in the file of their generation."""
    held = read_held(store, entries)
    folder, name = _path(generation, entries)
    store.write_table(f"{folder}/{name}", _table_of(held))
    for file in store.names(folder):
        if file != name:
            store.delete(f"{folder}/{file}")
    return held


def _table_of(held: Held) -> pa.Table:
    n, ms = (pa.ListArray.from_arrays(held.starts.astype(np.int32), pa.array(values)) for values in (held.n, held.ms))
    return pa.table([held.video_id, held.channel_id, pa.array(held.split), n, ms], schema=_FILE)


def _held_in(table: pa.Table) -> Held:
    video_id, channel_id, split, n, ms = (column.combine_chunks() for column in table.columns)
    starts = np.concatenate(([0], np.cumsum(pc.list_value_length(n).to_numpy()))).astype(np.int64)
    return Held(video_id, channel_id, split.to_numpy(), starts, n.flatten().to_numpy(), ms.flatten().to_numpy())


def read_held(store: Store, entries: Sequence[ShardEntry]) -> Held:
    """Reads the contents of these shards from their rows."""

    def read(entry: ShardEntry) -> pa.Table:
        rows = read_rows(store, entry.url, COLUMNS)
        code = np.full(rows.num_rows, SPLITS.index(entry.split), np.int8)
        return rows.append_column("split", pa.array(code))

    return _condensed(pa.concat_tables(side_by_side(read, entries)))


def _condensed(rows: pa.Table) -> Held:
    videos = pc.dictionary_encode(rows.column("video_id").combine_chunks())
    code = videos.indices.to_numpy().astype(np.int64)
    number = pc.replace_substring_regex(rows.column("clip_id"), r"^.*\.", "").cast(pa.int32()).to_numpy()
    good = is_success(rows.column("status")).to_numpy(zero_copy_only=False).astype(np.bool_)
    ms = np.where(good, rows.column("duration_ms").to_numpy(), _FAILED).astype(np.int32)
    last = np.zeros(len(videos.dictionary), np.int64)
    last[code] = np.arange(len(code))  # of several rows the last counts
    order = np.lexsort((number, code))
    counts = np.bincount(code, minlength=len(videos.dictionary))
    return Held(
        video_id=videos.dictionary.cast(pa.string()),
        channel_id=rows.column("channel_id").combine_chunks().take(pa.array(last)),
        split=rows.column("split").to_numpy()[last],
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        n=number[order],
        ms=ms[order],
    )


def not_held(videos: PlanVideos, generations: Sequence[Held]) -> PlanVideos:
    """The clips that are in none of these shards. A clip that failed before may come as a sample."""
    ids = Ids.of(videos.video_id)
    codes = codes_of(videos.owners(), videos.n)
    is_there = np.zeros(len(codes), np.bool_)
    for held in generations:
        row = np.repeat(ids.rows(held.video_id), np.diff(held.starts))
        good = held.is_sample()
        is_there |= among(codes, codes_of(row, held.n)[good & (row >= 0)])
        is_there |= among(codes, codes_of(row, held.n)[~good & (row >= 0)]) & ~videos.is_sample()
    return videos.only(~is_there)


def codes_of(row: Int64, n: NDArray[Any]) -> Int64:
    """[C] a number per clip: its video's row and its number there."""
    return np.asarray(row << 32 | n.astype(np.int64))


def among(codes: Int64, wanted: Int64) -> NDArray[np.bool_]:
    """[C] which of these sorted codes are wanted."""
    is_wanted = np.zeros(len(codes), np.bool_)
    wanted = np.sort(wanted)
    at = np.searchsorted(codes, wanted)
    wanted, at = wanted[at < len(codes)], at[at < len(codes)]
    is_wanted[at[codes[at] == wanted]] = True
    return is_wanted


def read_entries(store: Store, wanted: Callable[[pa.Table], pa.Table] = lambda rows: rows) -> list[ShardEntry]:
    """Returns the closed shards: manifest.parquet's rows, or those that `wanted` returns of them; [] if there is none.

    manifest.parquet is written before manifest.json and lists only committed shards. So it is right even if a run was
    killed between the two, when manifests.shards.read_manifest refuses the pair.
    """
    try:
        data = store.read(TABLE_NAME)
    except FileNotFoundError:
        return []
    return list(entries_of_table(data, f"{store.url}/{TABLE_NAME}", wanted))


def committed_shards(store: Store, *, but: Collection[str] = ()) -> dict[str, ShardEntry]:
    """The entry of each committed shard unit whose url is not in `but`. Units that were rejected have none."""
    known = {url.removeprefix("shards/").removesuffix(".tar").replace("/", "-") for url in but}
    new = store.all_commit_facts("shards", but=lambda unit: unit.rpartition("-")[0] in known)
    return {unit: ShardEntry.of_row(facts["shard"]) for unit, facts in new if "shard" in facts}

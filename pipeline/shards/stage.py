"""Stage `shards`: joins the packs' samples into shards, byte for byte.

in     selection.parquet, tables `packs` and `videos`, what committed shards contain already
out    shards/<split>/00000.tar, 00000.parquet, 00000_stats.json; unit = one shard

Generations. The shards in manifest.parquet are closed: nothing moves or changes them. What else is in the selection
makes up the next generation. Its plan is a pure function of closed shards and selection, so that a run killed half-way
makes the same plan again. If the selection has changed meanwhile, the shards already made count as a closed generation
and the rest goes into another.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import hash_name
from manifests.reasons import Reason
from manifests.rows import PackRow, ShardRow
from manifests.schema import TABLES
from pipeline.config.shards import ShardsConfig
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.unit import Context, Output, Reject, Resources, Unit
from pipeline.media.packs import PackedSample
from pipeline.outdir.tombstones import Tombstones, read_tombstones, refuse_while_under_way
from pipeline.shards.books import ShardBooks, open_clips, read_chosen, urls_of
from pipeline.shards.clips import PlanVideo
from pipeline.shards.closed import committed_shards, read_entries, read_held
from pipeline.shards.files import FAILED, SUCCESS, DamagedSample, Piece, join_shard, shard_files
from pipeline.shards.plan import PlannedShard, plan_shards

_SAME = ("key", "reason", "error_message", "clip_id", "video_id", "channel_id", "category_id", "start_ms", "end_ms")
_SAME_FACTS = ("duration_ms", "width", "height", "fps", "codec")


@dataclass(frozen=True, slots=True)
class ShardJob:
    """A unit's payload: the planned shard, the parts with the rows of its videos, and the videos' URLs."""

    shard: PlannedShard
    parts: dict[str, Part]
    urls: dict[str, str]


@dataclass(frozen=True, slots=True)
class ShardsStage:
    """See the module. `seed` draws splits and spreads videos.

    `only_full`: more is to come, so only full shards are closed. `but`: videos to leave out, since their batches are
    still in progress. `books`: kept across the plans of a run, so that each reads only what is new.
    """

    config: ShardsConfig
    seed: int = 0
    only_full: bool = False
    but: frozenset[str] = frozenset()
    books: ShardBooks = field(default_factory=ShardBooks, compare=False)
    name: str = "shards"
    resources: Resources = Resources(n_cpus=1, memory_bytes=2 * 1024**3, time_limit_s=3600)

    def units(self, store: Store) -> Iterator[Unit]:
        """The shards of the open generation. Raises UserError if a removal was interrupted."""
        tombstones = read_tombstones(store)
        refuse_while_under_way(store, tombstones)
        plan = self._open_generation(store, tombstones)
        ids = pc.unique(pa.concat_arrays([pa.array([], pa.string()), *(shard.content.video_id for shard in plan)]))
        url_of = dict(zip(ids.to_pylist(), urls_of(store, ids), strict=True))
        parts = store.parts_of("packs", list(url_of))
        for shard in plan:
            own = tuple(shard.content.video_id.to_pylist())
            yield Unit(shard.name, ShardJob(shard, {i: parts[i] for i in own}, {i: url_of[i] for i in own}), own)

    def _open_generation(self, store: Store, tombstones: Tombstones) -> list[PlannedShard]:
        self.books.update(store)
        chosen = read_chosen(store, self.books.open().video_id)
        closed = self.books.closed
        made = committed_shards(store, but={entry.url for entry in read_entries(store)})
        generation = closed.next_generation
        while True:
            videos = open_clips(self.books.open(), chosen, tombstones, partial(urls_of, store), self.but)
            placed = self.books.placed(videos, chosen)
            plan = plan_shards(
                videos, placed, self.config, seed=self.seed, generation=generation, only_full=self.only_full
            )
            of_generation = {unit: entry for unit, entry in made.items() if entry.generation == generation}
            if of_generation.keys() <= {shard.name for shard in plan}:
                return plan
            entries = list(of_generation.values())
            closed.note(entries)
            self.books.close(read_held(store, entries))
            generation += 1

    def process(self, unit: Unit, context: Context) -> Output:
        """Makes one shard. A video whose pack is missing or damaged is rejected; the shard is made without it.

        If nothing is left, no shard is made.
        """
        job: ShardJob = unit.payload
        shard, store = job.shard, context.store
        url = f"{shard.stem}.tar"
        pieces = [
            piece
            for video in shard.videos
            for piece in pieces_of_video(store, video, job.parts[video.video_id], job.urls[video.video_id])
        ]
        pieces = in_shard_order(pieces, self.seed)
        rejects: dict[str, Reject] = {}
        while True:
            try:
                entry = join_shard(pieces, context.scratch, url=url, split=shard.split, generation=shard.generation)
                break
            except DamagedSample as error:
                lost = error.piece.tar
                detail = f"{error}; `--redo media` makes its pack again, `retry --reason pack_lost` then its shard"
                rejects[lost] = Reject(Reason.PACK_LOST, error.piece.row["video_id"], detail=detail)
                pieces = [failed_piece(p, Reason.PACK_LOST, detail) if p.tar == lost else p for p in pieces]
        if not entry.nsamples:
            return Output(rejects=list(rejects.values()))
        files = {name: context.scratch / name.rpartition("/")[2] for name in shard_files(url)}
        return Output(files=files, rejects=list(rejects.values()), facts={"shard": entry.row()})


def in_shard_order(pieces: Iterable[Piece], seed: int) -> list[Piece]:
    """The order inside a shard: by hash, so that a video's clips are not next to each other."""
    return sorted(pieces, key=lambda piece: (hash_name(seed, "within", piece.row["key"]), piece.row["key"]))


def pieces_of_video(store: Store, video: PlanVideo, part: Part, url: str) -> list[Piece]:
    """The planned clips of a video as pieces, from the part of `packs` that has its rows."""
    wanted = {clip.n for clip in video.clips}
    columns = [name for name in TABLES["packs"].names if name != "phashes"]
    rows = store.read_part(part, columns).to_pylist()
    return [piece_of(store, row, url) for row in rows if row["video_id"] == video.video_id and row["n"] in wanted]


def piece_of(store: Store, row: PackRow, url: str) -> Piece:
    """Makes the piece for a row of `packs`."""
    made = row["status"] == SUCCESS
    facts: Mapping[str, Any] = row
    shard_row = {
        **{name: facts[name] for name in (*_SAME, *_SAME_FACTS)},
        "url": url,
        "caption": row["text"],
        "clips": json.dumps([[row["start_ms"], row["end_ms"]]]),
        "status": SUCCESS if made else FAILED,
        "members": "{}",
    }
    if not made:
        return Piece(cast(ShardRow, shard_row))
    members = {extension: (at, size) for extension, (at, size) in json.loads(row["members"]).items()}
    sample = PackedSample(row["key"], row["pack_offset"], row["pack_bytes"], members, row["pack_crc"])
    return Piece(cast(ShardRow, shard_row), store, row["pack"], sample)


def failed_piece(piece: Piece, reason: Reason, detail: str) -> Piece:
    """The same clip, marked as failed."""
    row = {**piece.row, "status": FAILED, "reason": reason.value, "error_message": detail, "members": "{}"}
    return replace(piece, row=cast(ShardRow, row), store=None, tar="", sample=None)

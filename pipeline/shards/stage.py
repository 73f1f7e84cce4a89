"""Stage `shards`: joins the packs' samples into shards, byte for byte.

in     selection.parquet, tables `packs` and `videos`, what committed shards hold already
out    shards/<split>/00000.tar, 00000.parquet, 00000_stats.json; unit = one shard

Generations. The shards in manifest.parquet are closed: nothing moves or changes them. What the selection holds beyond
them makes the next generation. Its plan is a pure function of closed shards and selection, so that a run that was
killed half-way finds the same plan again. Where the selection has changed meanwhile, the shards that were made count
as a closed generation and the rest goes into one more.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pyarrow.parquet as pq

from manifests.errors import UserError
from manifests.funnel import SELECTION_NAME
from manifests.hashing import hash_name
from manifests.reasons import Reason
from manifests.rows import PackRow, SelectionRow
from manifests.sample import sample_key
from manifests.shards import TABLE_NAME, ShardEntry
from manifests.shards import read_entries as entries_of_table
from pipeline.config.shards import ShardsConfig
from pipeline.engine.store import Part, Store
from pipeline.engine.unit import Context, Output, Reject, Resources, Unit
from pipeline.outdir.tombstones import Tombstones, read_tombstones, refuse_while_under_way
from pipeline.shards.files import SUCCESS, DamagedSample, Piece, join_shard, read_rows, shard_files
from pipeline.shards.pieces import failed_piece, pieces_of_video
from pipeline.shards.plan import Placed, PlanClip, PlannedShard, PlanVideo, plan_shards


@dataclass(frozen=True, slots=True)
class ShardJob:
    """A unit's payload: the planned shard, where the rows of its videos are, and their urls."""

    shard: PlannedShard
    parts: dict[str, Part]
    urls: dict[str, str]


@dataclass(frozen=True, slots=True)
class ShardsStage:
    """See the module. `seed` draws splits and spreads videos.

    `only_full`: more is to come, and only full shards are closed. `but`: videos to leave out, since their batches
    are still in progress.
    """

    config: ShardsConfig
    seed: int = 0
    only_full: bool = False
    but: frozenset[str] = frozenset()
    name: str = "shards"
    resources: Resources = Resources(n_cpus=1, memory_bytes=2 * 1024**3, time_limit_s=3600)

    def units(self, store: Store) -> list[Unit]:
        """The shards of the open generation. UserError where a removal was interrupted."""
        tombstones = read_tombstones(store)
        refuse_while_under_way(store, tombstones)
        wanted = read_wanted(store, tombstones, self.but)
        urls = dict(_pairs(store, "videos", "video_id", "url"))
        units = []
        for shard in self._open_generation(store, wanted):
            ids = tuple(video.video_id for video in shard.videos)
            job = ShardJob(shard, {i: wanted.parts[i] for i in ids}, {i: urls.get(i, "") for i in ids})
            units.append(Unit(shard.name, job, ids))
        return units

    def _open_generation(self, store: Store, wanted: Wanted) -> list[PlannedShard]:
        entries = read_entries(store)
        held = Held()
        held.add(store, entries, wanted.groups)
        made = committed_shards(store, but={entry.url for entry in entries})
        generation = 1 + max((entry.generation for entry in entries), default=-1)
        while True:
            videos = wanted.beyond(held)
            plan = plan_shards(
                videos, held.placed, self.config, seed=self.seed, generation=generation, only_full=self.only_full
            )
            of_generation = {unit: entry for unit, entry in made.items() if entry.generation == generation}
            if of_generation.keys() <= {shard.name for shard in plan}:
                return plan
            held.add(store, of_generation.values(), wanted.groups)
            generation += 1

    def process(self, unit: Unit, context: Context) -> Output:
        """Makes one shard. A video whose pack is gone or damaged is turned away alone; the shard goes on without.

        Where nothing is left, no shard is made.
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
    """The order inside a shard: by hash, so that a video's clips do not stand together."""
    return sorted(pieces, key=lambda piece: (hash_name(seed, "within", piece.row["key"]), piece.row["key"]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the selection keeps and the packs hold, together with the clips that were tried and failed."""

    videos: tuple[PlanVideo, ...]
    parts: dict[str, Part]
    """The part of table `packs` with each video's rows."""
    groups: dict[str, str]
    """Group of duplicates of each selected video."""

    def beyond(self, held: Held) -> list[PlanVideo]:
        """Videos with those of their clips that are in no shard. What failed before may come as a sample."""
        found = []
        for video in self.videos:
            clips = tuple(clip for clip in video.clips if not held.has(video.video_id, clip))
            if clips:
                found.append(replace(video, clips=clips))
        return found


@dataclass(slots=True)
class Held:
    """What shards hold: the plan's view of it, and the keys of their samples and of their failed clips."""

    placed: Placed = field(default_factory=Placed)
    samples: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def add(self, store: Store, entries: Iterable[ShardEntry], groups: Mapping[str, str]) -> None:
        """Adds shards, from their rows."""
        for entry in entries:
            number = int(entry.url.rpartition("/")[2].removesuffix(".tar"))
            self.placed.numbers.setdefault(entry.split, set()).add(number)
            table = read_rows(store, entry.url, ["key", "status", "video_id", "channel_id"])
            for row in table.to_pylist():
                (self.samples if row["status"] == SUCCESS else self.failed).add(row["key"])
                video_id = row["video_id"]
                self.placed.splits[video_id] = entry.split
                self.placed.videos[video_id] = PlanVideo(video_id, row["channel_id"], groups.get(video_id, video_id))

    def has(self, video_id: str, clip: PlanClip) -> bool:
        """Whether a clip is in a shard already."""
        key = sample_key(video_id, clip.n)
        return key in self.samples or (not clip.is_sample and key in self.failed)


def read_wanted(store: Store, tombstones: Tombstones, but: Collection[str] = ()) -> Wanted:
    """What belongs in shards. Clips that were made but that the selection leaves out do not."""
    selection = _read_selection(store)
    groups = {row["video_id"]: row["group"] or row["video_id"] for row in selection}
    kept = {row["video_id"]: frozenset(row["clips_kept"]) for row in selection if row["kept"]}
    videos: list[PlanVideo] = []
    parts: dict[str, Part] = {}
    facts = store.read_table("videos", ["video_id", "url"])
    urls = dict(zip(*(facts.column(name).to_pylist() for name in ("video_id", "url")), strict=True))
    for part in store.parts("packs"):
        columns = ["video_id", "channel_id", "n", "status", "pack_bytes"]
        rows = store.read_part(part, columns).to_pylist()
        for video_id in dict.fromkeys(row["video_id"] for row in rows):
            same = [row for row in rows if row["video_id"] == video_id]
            if video_id in but or tombstones.cover(video_id, same[0]["channel_id"], urls.get(video_id, "")):
                continue
            clips = _clips(same, kept.get(video_id, frozenset()))
            videos.append(PlanVideo(video_id, same[0]["channel_id"], groups.get(video_id, video_id), clips))
            parts[video_id] = part
    return Wanted(tuple(videos), parts, groups)


def _clips(rows: list[PackRow], kept: Collection[int]) -> tuple[PlanClip, ...]:
    clips = [
        PlanClip(row["n"], row["pack_bytes"] if row["status"] == SUCCESS else 0)
        for row in rows
        if row["status"] != SUCCESS or row["n"] in kept
    ]
    return tuple(sorted(clips, key=lambda clip: clip.n))


def _read_selection(store: Store) -> list[SelectionRow]:
    try:
        data = store.read(SELECTION_NAME)
    except FileNotFoundError:
        raise UserError(f"{store.url}/{SELECTION_NAME}: no such file; run the balance first") from None
    columns = ["video_id", "group", "kept", "clips_kept"]
    rows: list[SelectionRow] = pq.read_table(io.BytesIO(data), columns=columns).to_pylist()
    return rows


def _pairs(store: Store, table: str, first: str, second: str) -> Iterator[tuple[str, str]]:
    columns = store.read_table(table, [first, second])
    return zip(columns[first].to_pylist(), columns[second].to_pylist(), strict=True)


def read_entries(store: Store) -> list[ShardEntry]:
    """The closed shards: manifest.parquet's rows, [] where there is none.

    manifest.parquet is written before manifest.json and lists committed shards alone. So it is right also where a
    run was killed between the two, when manifests.shards.read_manifest refuses the pair.
    """
    try:
        data = store.read(TABLE_NAME)
    except FileNotFoundError:
        return []
    return list(entries_of_table(data, f"{store.url}/{TABLE_NAME}"))


def committed_shards(store: Store, *, but: Collection[str] = ()) -> dict[str, ShardEntry]:
    """Entry of each committed shard unit whose url is not among `but`. Units that were turned away made none."""
    known = {url.removeprefix("shards/").removesuffix(".tar").replace("/", "-") for url in but}
    found: dict[str, ShardEntry] = {}
    for unit, facts in store.all_commit_facts("shards"):
        stem, _, _ = unit.rpartition("-")
        if stem not in known and "shard" in facts:
            found[unit] = ShardEntry.of_row(facts["shard"])
    return found

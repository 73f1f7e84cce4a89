"""What the unit of each stage gives: its tables, its rejects, and how long it takes a worker.

The stages are the pipeline's own; what they would do is imagined. Only the choice of candidates, which costs next to
nothing, and searches for repeats, if there are any, are made by their stages themselves.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.world import rows, wide
from bench.world.videos import World
from manifests.parquet import parquet_bytes
from manifests.reasons import Reason
from pipeline.crawl.plan import BATCH_VIDEOS
from pipeline.engine.store.commits import Facts, part_name
from pipeline.engine.store.lookup import ids_of_unit
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, attempt_unit
from pipeline.engine.work.part_units import ids_of
from pipeline.engine.work.unit import Stage, Unit
from pipeline.run.costs import Cost, read_costs
from pipeline.shards.files import entry_of, shard_files, stats_bytes

START_S = 0.05
"""What any unit takes to begin and to write what it made."""
RESULTS_A_PAGE, PAGE_S = 20, 3.0
"""Of a listing: a page at the ordinary rate of an identity."""


@dataclass(slots=True)
class Made:
    """What a unit made: rows by table, its rejects, and files of the output directory."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    rejects: pa.Table | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def counts(self) -> Facts:
        """Rows by table and rejects by reason."""
        reasons = Counter(self.rejects.column("reason").to_pylist() if self.rejects is not None else ())
        counts = {table: its.num_rows for table, its in self.tables.items()}
        return {"rows": counts, "rejects": dict(sorted(reasons.items()))}


@dataclass(slots=True)
class Work:
    """What workers make of units in a world. `is_wide`: rows as wide as real ones."""

    world: World
    scratch: Path
    seconds_a_candidate: float
    """By the clock, of a unit of the extraction: its identities' pace."""
    page_s: float = PAGE_S
    is_wide: bool = False
    costs: dict[str, Cost] = field(default_factory=read_costs)

    def seconds(self, stage: str, unit: Unit) -> float:
        """How long a worker takes for a unit, seconds."""
        costs = self.costs
        if stage == "list":
            return self.page_s * -(-unit.payload.up_to // RESULTS_A_PAGE)
        if stage == "extract":
            return len(unit.ids) * self.seconds_a_candidate
        if stage in ("transcripts", "clips"):
            return START_S + BATCH_VIDEOS * self.world.distribution.kept * costs["text_cpu_s_a_video"].value / 2
        if stage == "shards":
            return START_S + len(unit.payload.shard.content.n) * costs["shards_cpu_s_a_clip"].value
        if stage == "media":
            video, an_hour = self.world.of_ids([unit.name]), costs["media_cpu_s_a_source_hour"]
            which = int(self.world.draw(video.hashes, "cost")[0] * len(an_hour.each))
            return START_S + float(video.length_s[0]) / 3600 * an_hour.each[which]
        return START_S

    def make(self, stage: Stage, unit: Unit, store: Store, attempt: int) -> Facts:
        """Writes what a unit makes, as an attempt does; returns what its commit is to hold."""
        if stage.name not in _MAKERS:
            outcome = attempt_unit(stage, unit, store, self.scratch, attempt)
            if outcome.end is not End.DONE or outcome.n_internal:
                raise RuntimeError(f"{stage.name} {unit.name}: {outcome.end} {outcome.reason or ''} {outcome.detail}")
            return outcome.facts
        if unit.part is not None and not unit.ids:
            unit = replace(unit, ids=ids_of(unit, store))
        plan = getattr(stage, "plan", None)
        return self.put(stage.name, unit, store, attempt, plan.round if plan else 0)

    def put(self, stage: str, unit: Unit, store: Store, attempt: int = 1, round_: int = 0) -> Facts:
        """The same by the stage's name; `round_`: of the crawl."""
        made = self.made(stage, unit, round_)
        for path, data in made.files.items():
            store.write(path, data)
        tables = dict(made.tables)
        if made.rejects is not None:
            tables[f"rejects/{stage}"] = made.rejects
        parts = {table: _written(store, table, stage, unit, its, attempt) for table, its in tables.items()}
        more = {"ids": ids_of_unit(tables), "parts": parts, **made.facts}
        return {**made.counts(), "attempt": attempt, **more}  # type: ignore[typeddict-item]

    def made(self, stage: str, unit: Unit, round_: int = 0) -> Made:
        """What a unit makes."""
        return _MAKERS[stage](self, unit, round_)

    # by stage

    def list_(self, unit: Unit, round_: int) -> Made:
        ask, world = unit.payload, self.world
        if ask.source == "channel":
            hashes = world.of_channel(ask.query, ask.up_to)
        else:
            hashes = world.found(ask.query, ask.wanted_category_id, min(ask.up_to, world.distribution.results_a_query))
        return Made(rows.listings(world, hashes, ask, round_))

    def extract(self, unit: Unit, round_: int) -> Made:
        of, found = self.world.distribution, self.world.of_ids(unit.ids)
        attempts = np.array([candidate["attempt"] for candidate in unit.payload])
        later = (self.world.draw(found.hashes, "deferred") < of.deferred) & (attempts == 1)
        kept = (self.world.draw(found.hashes, "kept") < of.kept) & ~later
        which = (self.world.draw(found.hashes, "why") * len(rows.REFUSED)).astype(int)
        why = [
            Reason.RATE_LIMITED if is_later else rows.REFUSED[k]
            for k, is_later, is_kept in zip(which.tolist(), later.tolist(), kept.tolist(), strict=True)
            if not is_kept
        ]
        lost = rows.rejects("extract", found.ids.filter(pa.array(~kept)), why) if why else None
        if not kept.any():
            return Made(rejects=lost)
        good = self.world.videos(found.hashes[kept])
        payload = wide.payloads(self.world, good) if self.is_wide else None
        return Made({"videos": rows.videos(good, round_), "captions": rows.captions(good, payload)}, lost)

    def transcripts(self, unit: Unit, round_: int) -> Made:
        found = self.world.of_ids(unit.ids)
        away = self.world.draw(found.hashes, "transcript") < self.world.distribution.rejected_transcripts
        good = self.world.videos(found.hashes[~away])
        lost = rows.rejects("transcripts", found.ids.filter(pa.array(away)), [Reason.TOO_FEW_WORDS] * int(away.sum()))
        columns = wide.words(self.world, good) if self.is_wide else {}
        return Made({"transcripts": rows.transcripts(good, columns)} if len(good) else {}, lost if away.any() else None)

    def clips(self, unit: Unit, round_: int) -> Made:
        found = self.world.of_ids(unit.ids)
        n = self.world.distribution.rejected_clips
        table = rows.clips(self.world, found, wide.sentences(self.world, found) if self.is_wide else None)
        ids = found.ids.take(pa.array(np.repeat(np.arange(len(found)), n)))
        number = np.repeat(found.n_clips, n) + np.tile(np.arange(n), len(found))
        away = rows.rejects("clips", ids, [Reason.TOO_FEW_WORDS] * len(ids), clip_ids=rows.clip_ids(ids, number))
        return Made({"clips": table}, away if n else None)

    def media(self, unit: Unit, round_: int) -> Made:
        found = self.world.of_ids([unit.name])
        if self.world.draw(found.hashes, "media")[0] < self.world.distribution.rejected_media:
            return Made(rejects=rows.rejects("media", found.ids, [Reason.NOT_A_VIDEO]))
        texts = wide.sentences(self.world, found) if self.is_wide else None
        table = rows.packs(self.world, found, texts, wide.pictures(self.world, found) if self.is_wide else None)
        cut = rows.is_cut(self.world, found)
        lost = table.column("clip_id").combine_chunks().filter(pa.array(~cut))
        video = rows.constant(unit.name, pa.string(), 1) if not len(lost) else pa.array([unit.name] * len(lost))
        away = rows.rejects("media", video, [Reason.SILENT] * len(lost), clip_ids=lost) if len(lost) else None
        if not cut.any():
            whole = rows.rejects("media", found.ids, [Reason.SILENT])
            away = pa.concat_tables([away, whole])
        return Made({"packs": table}, away, facts={"bytes": int(cut.sum()) * self.world.distribution.clip_bytes})

    def shards(self, unit: Unit, round_: int) -> Made:
        shard = unit.payload.shard
        table, url = rows.shard_rows(self.world, shard.content), f"{shard.stem}.tar"
        digest = hashlib.sha256(unit.name.encode()).hexdigest()
        n_bytes = int(shard.content.bytes_.sum())
        entry = entry_of(table, url, shard.split, shard.generation, digest, digest[:32], n_bytes)
        contents = (b"", _parquet(table), stats_bytes(entry, table))
        return Made(files=dict(zip(shard_files(url), contents, strict=True)), facts={"shard": entry.row()})


_MAKERS: dict[str, Callable[[Work, Unit, int], Made]] = {
    "list": Work.list_,
    "extract": Work.extract,
    "transcripts": Work.transcripts,
    "clips": Work.clips,
    "media": Work.media,
    "shards": Work.shards,
}


def _written(store: Store, table: str, stage: str, unit: Unit, its: pa.Table, attempt: int) -> str:
    """Writes a part as an attempt does, with a name that is the same each time."""
    path = f"{table}/{part_name(stage, unit.name, f'{attempt:012x}')}"
    store.write(path, _parquet(its))
    return path


def _parquet(table: pa.Table) -> bytes:
    """Without dictionaries and statistics: of small tables they are most of what writing costs."""
    return parquet_bytes(table, use_dictionary=False, write_statistics=False)

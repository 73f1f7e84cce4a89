"""The global steps of a run and of the commands beside it: each reads a whole output directory.

A step is something that a driver or a person starts; it is measured from a fresh start, as in a restarted driver. Steps
that a driver repeats are measured a second time, warm: it has planned before, and a batch has come since.
"""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.scaling.stores import BATCH_VIDEOS, UNIT_VIDEOS, add_batch, add_generation
from bench.world.rows import LONG_AGO
from bench.world.videos import World
from manifests.funnel import SELECTION_NAME
from manifests.settings import load_config
from manifests.shards import MANIFEST_NAME, read_manifest
from pipeline.balance.next_batch import next_batch
from pipeline.balance.selection import select
from pipeline.config import RunConfig
from pipeline.config.shards import CardConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import Wanted, plan_round
from pipeline.crawl.round_files import crawl_facts
from pipeline.dataset.remove import remove
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import attempt_unit
from pipeline.likeness import pictures
from pipeline.likeness.comparing import Comparing
from pipeline.media.stage import MediaStage
from pipeline.outdir.accounts import check_accounts
from pipeline.outdir.tombstones import Tombstones
from pipeline.query.funnel import funnel
from pipeline.report.page import write_report
from pipeline.run.candidates import Candidates
from pipeline.run.known import Known
from pipeline.run.session import open_run
from pipeline.shards.closed import ClosedShards
from pipeline.shards.manifest import write_manifest
from pipeline.shards.stage import ShardsStage
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import TranscriptsStage
from train.data.index import load_index


@dataclass(frozen=True)
class Place:
    """What a step works on."""

    store: Store
    config: RunConfig
    world: World
    some_video: str
    known: Known = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", Known(self.config, self.store))


@dataclass(frozen=True)
class Step:
    """A measured step: its title in the table, and what happens before it and is not measured."""

    title: str
    run: Callable[[Place], object]
    before: Callable[[Place], object] = lambda place: None


def config_of(store: Store) -> RunConfig:
    """The configuration of a run on this store: defaults, with captions that the crawl searched for."""
    options = {f"engine.storage_options.{key}": value for key, value in store.options}
    return load_config(RunConfig, None, [f"out={store.url}", *(f"{k}={v}" for k, v in options.items())])


def start(place: Place) -> None:
    """Opens the directory: lock, leftovers, settings."""
    with open_run(place.config):
        pass


def crawl_round(place: Place) -> None:
    """Plans a round from the results of all rounds before it."""
    ledger = CrawlLedger(place.store)
    facts = crawl_facts(ledger, 1, [])
    plan = plan_round(place.config.crawl, facts, Wanted({27: 1e12}))
    list(islice(ledger.choose(plan), 1))


def units_of_transcripts(place: Place) -> None:
    """Looks for parts of which a text stage has no unit yet, for the first time in a run: none."""
    UnitsSoFar(place.store).new_parts(TranscriptsStage(place.config.text))


def units_of_clips(place: Place) -> None:
    """The same for the clips stage."""
    UnitsSoFar(place.store).new_parts(ClipsStage(place.config.text))


def units_of_media(place: Place) -> None:
    """Makes the units of one batch."""
    ids = place.store.read_json("batches/00000.json")["video_ids"]
    list(MediaStage(place.config.media, ids, _fetch).units(place.store))


def _fetch(video: Mapping[str, Any], context: Any) -> Path:
    raise NotImplementedError


def candidates(place: Place) -> Candidates:
    """Reads and ranks the candidates, including those that repeat by text."""
    return Candidates.read(place.known, place.config)


def batch(place: Place) -> None:
    """Plans the next batch of media."""
    known = candidates(place)
    next_batch(known.ranked, known.outcomes(), place.config.balance)


def selection(place: Place) -> None:
    """Selects and writes selection.parquet."""
    known = candidates(place)
    chosen = select(known.ranked, known.outcomes(), place.config.balance)
    place.store.write_table(SELECTION_NAME, chosen.table)


def compare(place: Place) -> None:
    """Compares the pictures of all videos that were not compared yet, in this process: their rows, one batch after
    the other, and what is kept of them.
    """
    ids = place.store.read_table("videos", ["video_id"]).column("video_id").combine_chunks()
    videos = pa.table({"video_id": ids, "order": pa.array([0] * len(ids), pa.int64())})
    with tempfile.TemporaryDirectory(prefix="bench-compare-") as scratch:
        for chain in Comparing(place.store, pictures.kind_of()).batches(videos):
            for stage in chain:
                units = stage.units(place.store)
                made = {unit.name: attempt_unit(stage, unit, place.store, Path(scratch), 1).facts for unit in units}
                place.store.commit_all(stage.name, made)


def planned_before(place: Place) -> None:
    """Starts from an earlier plan, with one batch completed since."""
    batch(place)
    add_batch(place.store, place.world)


def shard_plan(place: Place) -> None:
    """Plans the next generation of shards."""
    list(ShardsStage(place.config.shards, place.config.seed).units(place.store))


def manifest(place: Place) -> None:
    """Writes the manifest of all shards, its indexes and cards."""
    write_manifest(place.store, name="bench", config={}, card=CardConfig(title="a bench"), created_at=LONG_AGO)


def no_manifest(place: Place) -> None:
    """Starts from shards alone."""
    for name in place.store.names("index"):
        place.store.delete(f"index/{name}")
    place.store.delete(MANIFEST_NAME)


def more_closed(place: Place) -> None:
    """Starts from a manifest, and shards that were closed since."""
    manifest(place)
    add_generation(place.store, place.world)


def count_funnel(place: Place) -> None:
    """Counts what became of every candidate."""
    funnel(place.store)


def accounts(place: Place) -> None:
    """Looks for what is missing, commit by commit and video by video."""
    check_accounts(place.store)


def report(place: Place) -> None:
    """Writes the report."""
    write_report(place.store)


def status(place: Place) -> None:
    """Runs `hdvila-pipeline status`."""
    from pipeline.commands.status import status as command

    with redirect_stdout(StringIO()):
        command(place.store.url, as_json=False, tables=False, n_sources=10)


def why(place: Place) -> None:
    """Runs `hdvila-pipeline why` for one video."""
    from pipeline.commands.why import why as command

    with redirect_stdout(StringIO()):
        command(place.some_video, out=place.store.url)


def trainer_index(place: Place) -> None:
    """Opens the index of a split, as each rank does."""
    read = read_manifest(place.store.url, **dict(place.store.options))
    with tempfile.TemporaryDirectory() as cache:
        load_index(read, "train", storage_options=dict(place.store.options), cache=Path(cache))


def contents_written_down(place: Place) -> None:
    """Starts from what drivers have written down of closed shards."""
    list(ClosedShards().new(place.store))


def remove_channel(place: Place) -> None:
    """Removes the channel of a video from the finished set."""
    row = place.store.rows_of(place.some_video, {"videos": ["video_id", "channel_id"]})["videos"].to_pylist()[0]
    remove(place.store, Tombstones(channels=frozenset({row["channel_id"]})))


STEPS: dict[str, Step] = {
    "start": Step("start of a run", start),
    "round": Step("round of the crawl", crawl_round),
    "transcripts": Step("units of transcripts", units_of_transcripts),
    "clips": Step("units of clips", units_of_clips),
    "compare": Step("pictures of all videos, compared", compare),
    "batch": Step("next batch", batch),
    "media": Step(f"units of a batch of {UNIT_VIDEOS}", units_of_media),
    "selection": Step("selection", selection),
    "shards": Step("shard plan", shard_plan),
    "manifest": Step("manifest of all, from nothing", manifest, no_manifest),
    "funnel": Step("funnel", count_funnel),
    "accounts": Step("verify's accounts", accounts),
    "report": Step("report", report),
    "status": Step("status", status),
    "why": Step("why", why),
    "index": Step("the trainer's index", trainer_index),
    "next-candidates": Step(f"candidates again, {BATCH_VIDEOS} videos later", candidates, planned_before),
    "next-batch": Step(f"next batch again, {BATCH_VIDEOS} videos later", batch, planned_before),
    "next-manifest": Step(f"manifest again, shards of {BATCH_VIDEOS} videos later", manifest, more_closed),
    "remove": Step("remove of one channel", remove_channel, contents_written_down),
}
"""By name. Those from `next-candidates` on change the store: each adds a batch; the last one removes a channel."""

"""Runs one unit of a stage in this process, to see what it does: nothing is put in place or committed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from manifests.errors import UserError
from manifests.exits import NothingMatched
from manifests.stages import ORDER
from pipeline.config import RunConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.rounds import BuildPoliteness, read_plans, stages_of
from pipeline.crawl.sources.registry import SOURCES, fetch_by_source
from pipeline.engine.run.status_and_control import read_run_status
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import time_limit_of
from pipeline.engine.work.executor import SharedHere
from pipeline.engine.work.limits import limits
from pipeline.engine.work.scratch import scratch_folder
from pipeline.engine.work.unit import Context, Output, Stage, Unit
from pipeline.media.stage import MediaStage
from pipeline.run.session import default_scratch
from pipeline.shards.stage import ShardsStage
from pipeline.site.fetch import Fetcher
from pipeline.site.hosts import Hosts
from pipeline.site.optout import load_opt_outs
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import TranscriptsStage

ASKING = ("list", "extract", "media", "urls")
"""Stages that may use the net."""


@dataclass(frozen=True, slots=True)
class Debugged:
    """What a unit made, and how many seconds it took."""

    unit: Unit
    output: Output
    seconds: float


def debug_unit(config: RunConfig, store: Store, stage_name: str, unit_name: str) -> Debugged:
    """Runs a unit in this process; its exceptions pass through with their tracebacks.

    UserError for a stage without units, or if a run is in progress and the stage uses the net; NothingMatched for an
    unknown unit.
    """
    status = read_run_status(store)
    if stage_name in ASKING and status is not None and status.is_alive(time.time()):
        raise UserError(f"{store.url}: a run is in progress, and both would ask the site at once; stop it first")
    stage, unit = _find(config, store, stage_name, unit_name)
    limit_s, root = time_limit_of(stage, unit), config.engine.scratch or default_scratch()
    with scratch_folder(root, store.url, f"debug-{stage_name}-{unit_name}") as scratch:
        began = time.monotonic()
        with limits(limit_s, stage.resources.memory_bytes):
            output = stage.process(unit, Context(store, scratch, began + limit_s))
        return Debugged(unit, output, time.monotonic() - began)


def _find(config: RunConfig, store: Store, stage_name: str, unit_name: str) -> tuple[Stage, Unit]:
    found = False
    for stage in _stages(config, store, stage_name, unit_name):
        found = True
        for unit in stage.units(store):
            if unit.name == unit_name:
                return stage, unit
    if not found:
        raise UserError(f"{stage_name}: no stage with units of this name here; stages are {', '.join(ORDER)}")
    raise NothingMatched(
        f"{store.url}: stage {stage_name} has no unit {unit_name}; commits/{stage_name} names those made"
    )


def _stages(config: RunConfig, store: Store, name: str, unit: str) -> Iterator[Stage]:
    """The stages with this name: one, or one for each round of the crawl, the latest first."""
    polite = SharedHere(BuildPoliteness(config.crawl, store, config.seed)())
    hosts = SharedHere(Hosts(config.crawl.politeness.pauses_s))
    if name in SOURCES and (make := SOURCES[name].stage):
        yield make(config, hosts)
    elif name in ("list", "choose", "extract"):
        opt_outs = load_opt_outs(config.crawl.opt_out, store)
        for plan in reversed(read_plans(store)):
            ledger = CrawlLedger(store, config.balance.unit)
            stages = stages_of(plan, config.crawl, polite, ledger, opt_outs, config.media.cut)
            yield from (stage for stage in stages if stage.name == name)
    elif name == "transcripts":
        yield TranscriptsStage(config.text)
    elif name == "clips":
        yield ClipsStage(config.text)
    elif name == "media":
        fetch = fetch_by_source(config, Fetcher(config.crawl, polite, config.media.cut), lambda: hosts)
        yield MediaStage(config.media, [unit], fetch, fetch_limit_s=config.crawl.fetch_time_limit_s)
    elif name == "shards":
        yield ShardsStage(config.shards, config.seed)

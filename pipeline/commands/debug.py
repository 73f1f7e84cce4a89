"""`hdvila-pipeline debug`: a unit of a stage in this process, to see what it does; nothing is put in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.errors import UserError
from manifests.exits import ExitCode, NothingMatched

if TYPE_CHECKING:
    from pipeline.config import RunConfig
    from pipeline.engine.store.store import Store
    from pipeline.engine.work.unit import Output, Stage, Unit


def debug(
    file: Annotated[Path, typer.Argument(help="The run's YAML.")],
    stage: Annotated[str, typer.Argument(help="A stage with units, such as extract, transcripts, clips or media.")],
    unit: Annotated[str, typer.Argument(help="The unit's name: for media, the video's id.")],
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
) -> None:
    """Runs one unit of a stage in this process, with a stack trace if it fails. Nothing is committed."""
    import traceback
    from collections import Counter

    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.engine.work.unit import PlaceFailed, Rejected, StopRun, Transient
    from pipeline.run.session import open_store

    config = load_config(RunConfig, file, set_)
    try:
        made = debug_unit(config, open_store(config), stage, unit)
    except (Rejected, Transient, StopRun, PlaceFailed) as verdict:
        traceback.print_exc()
        print(f"{stage}:{unit}: {type(verdict).__name__}: {verdict}")
        raise typer.Exit(ExitCode.INCOMPLETE) from None
    rows = ", ".join(f"{len(rows)} {table}" for table, rows in made.output.rows.items() if rows) or "no rows"
    files = ", ".join(made.output.files) or "no files"
    print(f"{stage}:{unit}: {made.seconds:.2f} s; {rows}; {files}")
    for reject in made.output.rejects:
        print(f"rejected: {reject.clip_id or reject.video_id}: {reject.reason.value}: {reject.detail}")
    reasons = Counter(reject.reason.value for reject in made.output.rejects)
    raise typer.Exit(ExitCode.INCOMPLETE if reasons["internal_error"] else ExitCode.OK)


@dataclass(frozen=True, slots=True)
class Debugged:
    """What a unit made, and how many seconds it took."""

    output: Output
    seconds: float


def debug_unit(config: RunConfig, store: Store, stage_name: str, unit_name: str) -> Debugged:
    """Runs a unit in this process; its exceptions pass through with their tracebacks.

    UserError for a stage without units, or if a run is in progress and the stage uses the net; NothingMatched for an
    unknown unit.
    """
    import time

    from manifests.stages import STAGES
    from pipeline.engine.run.status_files import read_run_status
    from pipeline.engine.work.attempt import time_limit_of
    from pipeline.engine.work.limits import limits
    from pipeline.engine.work.scratch import scratch_folder
    from pipeline.engine.work.unit import Context
    from pipeline.run.session import default_scratch

    status = read_run_status(store)
    asks = stage_name in STAGES and STAGES[stage_name].asks
    if asks and status is not None and status.is_alive(time.time()):
        raise UserError(f"{store.url}: a run is in progress, and both would ask the site at once; stop it first")
    stage, unit = _find(config, store, stage_name, unit_name)
    limit_s, root = time_limit_of(stage, unit), config.engine.scratch or default_scratch()
    with scratch_folder(root, store.url, f"debug-{stage_name}-{unit_name}") as scratch:
        began = time.monotonic()
        with limits(limit_s, stage.resources.memory_bytes):
            output = stage.process(unit, Context(store, scratch, began + limit_s))
        return Debugged(output, time.monotonic() - began)


def _find(config: RunConfig, store: Store, stage_name: str, unit_name: str) -> tuple[Stage, Unit]:
    from manifests.stages import ORDER

    has_stage = False
    for stage in _stages(config, store, unit_name):
        if stage.name != stage_name:
            continue
        has_stage = True
        for unit in _units_named(stage, store, unit_name):
            if unit.name == unit_name:
                return stage, unit
    if not has_stage:
        raise UserError(f"{stage_name}: no stage with units of this name here; stages are {', '.join(ORDER)}")
    raise NothingMatched(
        f"{store.url}: stage {stage_name} has no unit {unit_name}; commits/{stage_name} names those made"
    )


def _units_named(stage: Stage, store: Store, name: str) -> Iterable[Unit]:
    from pipeline.engine.work.unit import PerPart

    if not isinstance(stage, PerPart):
        return stage.units(store)
    return stage.units_of(store, [part for part in store.parts(stage.over) if stage.unit_name(part) == name])


def _stages(config: RunConfig, store: Store, unit: str) -> Iterator[Stage]:
    """Every stage with units; those of the crawl once for each round, the latest first."""
    from pipeline.crawl.ledger import CrawlLedger
    from pipeline.crawl.round_files import read_plans
    from pipeline.crawl.rounds import stages_of
    from pipeline.crawl.sources.registry import SOURCES, fetch_by_source, recognises_missing, source_named
    from pipeline.engine.work.executor import SharedHere
    from pipeline.media.stage import MediaStage
    from pipeline.run.road import listening, text_stages
    from pipeline.shards.stage import ShardsStage
    from pipeline.site.fetch import Fetcher
    from pipeline.site.hosts import Hosts
    from pipeline.site.optout import load_opt_outs
    from pipeline.site.politeness import BuildPoliteness

    polite = SharedHere(BuildPoliteness(config.crawl, store, config.seed)())
    hosts = SharedHere(Hosts(config.crawl.politeness.pauses_s))
    sources = (source_named(name) for name in {**SOURCES, **dict.fromkeys(config.crawl.sources)})
    yield from (source.stage(config, hosts) for source in sources if source.stage)
    if config.media.heard.model:
        yield from (listening(config, polite, lambda: hosts, ids) for ids in ([unit], None))
    yield from text_stages(config)
    fetch = fetch_by_source(config, Fetcher(config.crawl, polite, config.media), lambda: hosts)
    yield MediaStage(config.media, [unit], fetch, fetch_limit_s=config.crawl.fetch_time_limit_s)
    yield ShardsStage(config.shards, config.seed)
    opt_outs = load_opt_outs(config.crawl.opt_out, store)
    for plan in reversed(read_plans(store)):
        ledger = CrawlLedger(store, config.balance.unit)
        recognises = recognises_missing(config)
        yield from stages_of(plan, config.crawl, polite, ledger, opt_outs, config.media.cut, recognises=recognises)

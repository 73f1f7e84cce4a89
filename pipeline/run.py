"""A whole run, from sources to report: the road in the order in which data flows.

    gather     sources -> videos, captions -> transcripts -> clips      in rounds, until the quotas are covered
    fill       balance -> media in waves -> selection                   until the quotas are full or the reserve ends
    deliver    shards -> manifest -> cards -> report

Every step goes on from what is committed. A run that was killed anywhere and started again ends with the same bytes.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.errors import UserError
from manifests.shards import Manifest
from pipeline.balance_result import BalanceResult
from pipeline.config import RunConfig
from pipeline.config.engine import EngineConfig
from pipeline.engine.executor import Executor, LocalExecutor
from pipeline.engine.lock import RunLock
from pipeline.engine.run import StageResult, run_stage
from pipeline.engine.store import Store
from pipeline.engine.unit import Stage
from pipeline.identity import check_identity
from pipeline.retries import take_up, take_up_due

if TYPE_CHECKING:
    from pipeline.politeness import Polite

log = logging.getLogger("hdvila")


@dataclass(slots=True)
class Run:
    """A run under way: where it writes, where its units run, and what each stage did."""

    config: RunConfig
    store: Store
    executor: Executor
    lock: RunLock
    results: list[StageResult] = field(default_factory=list)
    _polite: "Polite | None" = None

    @property
    def polite(self) -> "Polite":
        """The one politeness of this run: crawl and fetch take their tokens from the same buckets."""
        if self._polite is None:
            from pipeline.crawl import BuildPoliteness

            build = BuildPoliteness(self.config.crawl, self.store, self.config.seed)
            self._polite = self.executor.share("politeness", build)
        return self._polite

    def do(self, stage: Stage) -> StageResult:
        """Runs a stage's units that have no commit yet."""
        result = run_stage(stage, self.store, self.executor, self.lock, patience=self.config.engine.patience)
        self.results.append(result)
        return result


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a run ended with."""

    manifest: Manifest
    balance: BalanceResult
    results: tuple[StageResult, ...]

    @property
    def n_missing(self) -> int:
        """Units without a commit: more than 0 is a non-zero exit."""
        return sum(result.n_missing for result in self.results)


def run_pipeline(config: RunConfig, *, redo: str = "") -> Delivered:
    """Runs everything. Raises UserError for what a person can cure; what is committed stays."""
    from pipeline.crawl_books import CRAWL_STAGES
    from pipeline.deliver import deliver
    from pipeline.fill import fill
    from pipeline.gather import gather, gather_more

    with open_run(config, redo=redo) as run:
        take_up(run.store, CRAWL_STAGES)
        take_up_due(run.store, ("media",), datetime.now(UTC))
        gather(run)
        selection = fill(run)
        while gather_more(run, selection):
            selection = fill(run)
        manifest = deliver(run, selection)
        return Delivered(manifest, selection.result, tuple(run.results))


@contextmanager
def open_run(config: RunConfig, *, redo: str = "") -> Iterator[Run]:
    """The output directory, locked and checked, with an executor for its units."""
    store = open_store(config)
    with RunLock(store) as lock:
        if store.sweep():
            log.info("%s: removed half-written files of a run that was killed", store.url)
        check_identity(store, config, redo=redo)
        executor = build_executor(config.engine)
        try:
            yield Run(config, store, executor, lock)
        finally:
            executor.close()


def open_store(config: RunConfig) -> Store:
    """The store of a configuration's output. UserError where it cannot be written to."""
    url = config.out if "://" in config.out else str(Path(config.out).absolute())
    store = Store(url, tuple(sorted(config.engine.storage_options.get_secret_value().items())))
    if store.is_local:
        try:
            Path(store.root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"out: {config.out} cannot be made ({error.strerror}); choose another folder") from None
    return store


def build_executor(config: EngineConfig) -> Executor:
    """The executor that a configuration names."""
    scratch = config.scratch or Path(tempfile.gettempdir()) / "hdvila-scratch"
    if config.executor == "local":
        return LocalExecutor(scratch)
    from pipeline.engine.cluster import RayExecutor

    return RayExecutor(
        scratch, address=config.ray_address, n_cpus=config.n_cpus, object_store_bytes=config.object_store_bytes
    )

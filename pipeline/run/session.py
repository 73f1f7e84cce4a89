"""The session of a run: its output directory, locked and checked, and the executor that runs its units.

The order of the steps is in `road.py`.
"""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from manifests.checks import CHECKS
from manifests.errors import UserError, is_of_a_disk, is_passing, storage_errors
from manifests.exits import ExitCode
from manifests.lock import Held, RunLock
from manifests.members import MEMBERS
from manifests.outage import stopping_by
from manifests.plugins import refuse_clashes, used_by
from manifests.stages import STAGES
from manifests.terminal import deaf_to_hang_up
from pipeline.config import RunConfig
from pipeline.crawl.sources import LISTS
from pipeline.crawl.sources.registry import SOURCES
from pipeline.crawl.sources.tables import hashes_of
from pipeline.engine.on_ray.waiting import Waiting
from pipeline.engine.run.drain import Drained, StopRequest, drain_on_sigterm
from pipeline.engine.run.driver import nothing, run_planned
from pipeline.engine.run.lines import Line, LinesHere, Planner, StageResult, one_chain
from pipeline.engine.run.merger import Merger, merging
from pipeline.engine.run.progress import under_way
from pipeline.engine.run.spending import Prices
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.delete_merged import sweep_orphans
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import change_head
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor, LocalExecutor
from pipeline.engine.work.unit import Stage
from pipeline.likeness.comparing import Comparing
from pipeline.likeness.index import Kind
from pipeline.outdir.identity import RUN_FILE, check_identity
from pipeline.run.candidates import Candidates
from pipeline.run.constants import constants_by_stage
from pipeline.run.known import Known
from pipeline.run.lost import refuse_what_is_lost
from pipeline.run.time_left import Foresight
from pipeline.site.politeness import BuildPoliteness, Polite
from pipeline.text.added_stage import added_stages

log = logging.getLogger("hdvila")
INPUTS_NAME = "inputs.json"
"""The lists that a run reads, with their hashes: {file: hash}."""

MERGES = MergeSizes()
"""When the tables that units write in parts are merged into segments."""


class Driver(Protocol):
    """What a recipe asks of the driver, which may be in another process."""

    def complete_lines(self, lines: Sequence[Line]) -> None:
        """Runs lines of stages side by side: each stage's units that have no commit yet."""
        ...

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """The one object of this name for all workers; see Executor."""
        ...

    def show_rejects(self, counts: dict[str, dict[str, int]]) -> None:
        """Takes the rejects in force, by stage and reason, for `status`."""
        ...


@dataclass(slots=True)
class Run:
    """A run as its recipe sees it: where it writes, and who carries out what it plans."""

    config: RunConfig
    store: Store
    lock: Held
    driver: Driver
    _known: Known | None = None
    _comparing: dict[str, Comparing] = field(default_factory=dict)
    _polite: Polite | None = None

    @property
    def known(self) -> Known:
        """What plans know about all videos, kept from one plan to the next."""
        if self._known is None:
            self._known = Known(self.config, self.store)
        return self._known

    def comparing(self, kind: Kind) -> Comparing:
        """What is to be compared of a kind, kept from one batch to the next."""
        if kind.name not in self._comparing:
            self._comparing[kind.name] = Comparing(self.store, kind)
        return self._comparing[kind.name]

    @property
    def polite(self) -> Polite:
        """The only politeness of this run: crawl and fetch take tokens from the same buckets."""
        if self._polite is None:
            build = BuildPoliteness(self.config.crawl, self.store, self.config.seed, self.store.patience_s)
            self._polite = self.driver.share("politeness", build)
        return self._polite

    def plan_from(self, n_rounds: int | None = None) -> Candidates:
        """What a plan may know, given the first rounds of the crawl; also updates the rejects that `status` shows."""
        candidates = Candidates.read(self.known, self.config, n_rounds)
        self.driver.show_rejects(self.known.rejects.counts())
        return candidates

    def count_rejects(self) -> None:
        """Updates the rejects in force that `status` shows."""
        self.known.update()
        self.driver.show_rejects(self.known.rejects.counts())

    def complete(self, stage: Stage) -> None:
        """Runs a stage's units that have no commit yet."""
        self.driver.complete_lines([one_chain(stage)])


@dataclass(slots=True)
class Session:
    """A run under way, in the driver's process: what runs its units, and what each stage did."""

    config: RunConfig
    store: Store
    executor: Executor
    lock: RunLock
    desk: Desk
    merger: Merger | None = None
    results: list[StageResult] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)
    units: UnitsSoFar | None = None

    def run(self) -> Run:
        """The run for a recipe in this process."""
        return Run(self.config, self.store, self.lock.held, self)

    def complete_lines(self, lines: Sequence[Line]) -> None:
        """See Driver. The lines plan in this process."""
        self.run_planned(LinesHere(lines))

    def run_planned(self, planner: Planner) -> None:
        """Runs what a planner plans, until all its lines have ended."""
        self.units = self.units or UnitsSoFar(self.store)  # from the first chain on, nothing is taken back any more
        between = self.merger.tick if self.merger else nothing
        over = self.results.append
        run_planned(planner, self.executor, self.lock, self.units, self.desk, over=over, between=between)

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Driver."""
        if name not in self.shared:
            self.shared[name] = self.executor.share(name, build)
        return self.shared[name]

    def show_rejects(self, counts: dict[str, dict[str, int]]) -> None:
        """See Driver."""
        self.desk.rejects_in_force = counts


@contextmanager
def open_run(
    config: RunConfig,
    *,
    redo: str = "",
    mix: bool = False,
    stop: StopRequest | None = None,
    check: Callable[[RunConfig, Store, StopRequest], None] | None = None,
) -> Iterator[Session]:
    """Opens the output directory, locked and checked, with an executor for its units. SIGTERM drains the run.

    `check` is called before the executor starts, and may refuse the run.
    """
    _refuse_taken_names()
    store, asked = open_store(config), stop or StopRequest()
    with (
        _away_explained(store, asked),
        stopping_by(lambda: asked.time_left_s),
        drain_on_sigterm(asked),
        RunLock(store) as lock,
    ):
        refuse_what_is_lost(store, redo)
        if store.sweep() + store.sweep_parts() + sweep_orphans(store):
            log.info("%s: removed half-written files of a run that was killed", store.url)
        is_first = not store.exists(RUN_FILE)
        config = check_identity(store, config, redo=redo, mix=mix, constants=constants_by_stage())
        last = {"clips": added[-1].name} if (added := added_stages(config.stages)) else {}
        change_head(store, lambda head: head.model_copy(update={"last": last}))
        if check is not None:
            try:
                check(config, store, asked)
            except UserError:
                if is_first:  # nothing was made by these settings: once they are mended it is a new run
                    store.delete(RUN_FILE)
                raise
        _note_inputs(config, store)
        asked.end_if_due(store.url)
        is_main = threading.current_thread() is threading.main_thread()
        with _own_sigterm(store, asked) if is_main else nullcontext():
            executor = build_executor(config)
        if isinstance(executor, LocalExecutor):
            asked.heard = executor.forgive
        try:
            with (
                Desk(
                    store,
                    asked,
                    tell=executor.measure,
                    tell_run=executor.measure_run,
                    prices=Prices(**config.engine.prices.model_dump()),
                    foresee=Foresight(config, store),
                ) as desk,
                merging(store, lock, MERGES) as merger,
            ):
                yield Session(config, store, executor, lock, desk, merger)
        finally:
            executor.close()


@contextmanager
def _own_sigterm(store: Store, stop: StopRequest) -> Iterator[None]:
    """As Ray starts it has SIGTERM end this process with code 15, and keeps its handler: here that is a stop request,
    and after the block SIGTERM is heard as before. What it starts does not end with the terminal.
    """
    own = signal.getsignal(signal.SIGTERM)
    try:
        with deaf_to_hang_up():
            yield
    except SystemExit as ended:
        if ended.code != signal.SIGTERM:
            raise
        stop.request("SIGTERM")
        stop.end_if_due(store.url)
    finally:
        signal.signal(signal.SIGTERM, own)


def _note_inputs(config: RunConfig, store: Store) -> None:
    """Notes the hashes of the lists and the mapping that the run reads; says which the last run read otherwise."""
    lists, mapping = config.crawl.lists, config.folder.mapping
    files = [*lists.files, *lists.texts] if LISTS in config.crawl.sources else []
    files += [str(mapping)] if mapping is not None and mapping.is_file() else []
    read, before = hashes_of(files), store.read_json(INPUTS_NAME) if store.exists(INPUTS_NAME) else {}
    for file, hash_ in read.items():
        if before.get(file, hash_) != hash_:
            log.warning(
                "%s: has changed since the last run; what is new in it is taken up, what was made of it stays", file
            )
    if read != before:
        store.write_json(INPUTS_NAME, read)


def _refuse_taken_names() -> None:
    """Raises UserError if an installed package brings a step with a name of ours, whether or not it is used."""
    members = [member.switch for member in MEMBERS]
    ours = {"checks": [check.name for check in CHECKS], "members": members, "sources": SOURCES, "stages": STAGES}
    for group, names in ours.items():
        refuse_clashes(group, names)


class StoreAway(UserError):
    """The output's store has not answered for the whole patience, or a disk of the driver's machine failed."""

    exit_code = ExitCode.STOPPED


@contextmanager
def _away_explained(store: Store, stop: StopRequest) -> Iterator[None]:
    """Tells that a store did not answer to the end: of the patience, or of the time that a stop request left. Or that
    a disk of this machine is full or failing.
    """
    try:
        yield
    except storage_errors() as error:
        if is_of_a_disk(error) and (store.is_local or not is_passing(error)):
            where = f"{store.url} or {tempfile.gettempdir()}" if error.filename is None else error.filename
            raise StoreAway(
                f"{where}: {error.strerror}; free some space there, or look at the disk. What is committed is kept: "
                "run the same command again"
            ) from error
        if store.is_local or not is_passing(error):
            raise
        if stop.is_due:
            raise Drained(
                f"{store.url}: stopped on request ({stop.why}) while the store did not answer ({error}); what was not "
                "committed is given back. Run the same command again to continue"
            ) from error
        raise StoreAway(
            f"{store.url}: the store has not answered for {store.patience_s:.0f} s ({error}); what is committed is "
            "kept. Run the same command again once it answers; engine.outage_s is how long a run waits"
        ) from error


def open_store(config: RunConfig) -> Store:
    """The store of a configuration's output. UserError if it can't be made or is the folder of videos itself."""
    _refuse_the_source(config)
    url = config.out if "://" in config.out else str(Path(config.out).absolute())
    options = tuple(sorted(config.engine.storage_options.get_secret_value().items()))
    store = Store(url, options, config.engine.outage_s)
    if store.is_local:
        try:
            Path(store.root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"out: {config.out} cannot be made ({error.strerror}); choose another folder") from None
    return store


def _refuse_the_source(config: RunConfig) -> None:
    """Raises UserError if the output directory is the folder of videos itself; it may be inside it."""
    videos = config.folder.path if "folder" in config.crawl.sources else None
    if videos and "://" not in config.out and Path(config.out).resolve() == videos.resolve():
        raise UserError(
            f"out: {config.out} is the folder of videos itself (folder.path); choose another, such as {videos / 'out'}"
        )


def default_scratch() -> Path:
    """The scratch folder if none is configured: this user's own, in the system's temporary folder."""
    return Path(tempfile.gettempdir()) / f"hdvila-scratch-{os.getuid()}"


def build_executor(run: RunConfig) -> Executor:
    """Makes the executor that the configuration names."""
    config = run.engine
    scratch = config.scratch or default_scratch()
    resources = {name: asked.model_dump(exclude_unset=True) for name, asked in config.resources.items()}
    if config.executor == "local":
        return LocalExecutor(scratch, resources)
    with under_way(f"joining Ray at {config.ray_address}" if config.ray_address else "starting a local Ray"):
        from pipeline.engine.on_ray.cluster import RayExecutor

        return RayExecutor(
            scratch,
            address=config.ray_address,
            n_cpus=config.n_cpus,
            steps=used_by(run),
            waiting=Waiting(config.waiting_bytes, config.downloads),
            resources=resources,
        )

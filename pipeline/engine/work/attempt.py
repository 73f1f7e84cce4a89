"""An attempt at a unit, on any machine: its scratch folder, its limits, and its output.

The worker puts files, rows and rejects in place, under names unique to the attempt; the driver then checks the run lock
and writes the commit, which lists those names.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from manifests.errors import is_passing
from manifests.reasons import AnyReason, Reason, ReasonClass
from manifests.rows import RejectRow
from manifests.schema import REJECTS, TABLES, table_of
from manifests.version import made_by
from pipeline.engine.store.commits import Facts
from pipeline.engine.store.lookup import ids_of_unit
from pipeline.engine.store.store import Store
from pipeline.engine.work import boundary
from pipeline.engine.work.limits import MemoryLimitExceeded, TimeLimitExceeded, limits
from pipeline.engine.work.part_units import ids_of
from pipeline.engine.work.scratch import HeldGone, hold, host_name, scratch_folder
from pipeline.engine.work.unit import Context, Fetching, Output, PlaceFailed, Reject, Stage, StopRun, Transient, Unit

DETAIL_CHARACTERS = 2000


class End(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FETCHED = "fetched"
    """The first of two tasks is done; the attempt itself goes on."""
    AGAIN = "again"
    STOP = "stop"
    PLACE = "place"
    LOST = "lost"
    TAKEN = "taken"
    """The machine went away, or the cluster killed the worker when memory ran out: not the unit's fault."""
    TIMEOUT = "timeout"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt. For `done`: the facts that the commit will hold."""

    end: End
    reason: AnyReason | None = None
    detail: str = ""
    wait_s: float = 0.0
    node: str = ""
    """Ray's id of the machine that the attempt ran on; "" where there is no other."""
    host: str = ""
    """The machine's name, for display."""
    facts: Facts = field(default_factory=Facts)

    @property
    def n_internal(self) -> int:
        """The number of items lost to an internal error."""
        return int(self.facts.get("rejects", {}).get(Reason.INTERNAL_ERROR.value, 0))


def attempt_unit(
    stage: Stage,
    unit: Unit,
    store: Store,
    scratch_root: Path,
    attempt: int,
    held: Path | None = None,
    *,
    memory_bytes: int = 0,
    began: Callable[[str], bool] | None = None,
) -> Outcome:
    """Runs a unit within its limits and puts its output in place. `held`: the folder that `fetch_for` kept for it.

    `memory_bytes`: its limit; 0: its stage's. `began`: see Context.
    """

    def work(context: Context) -> Outcome:
        made = boundary.guarded(context, _first_id(unit), lambda: stage.process(unit, context))
        return _made_of(stage, unit, made, context)

    return _limited(stage, unit, store, scratch_root, attempt, work, held, memory_bytes, began)


def fetch_for(stage: Stage, unit: Unit, store: Store, scratch_root: Path, attempt: int, driver: str) -> Outcome:
    """Fetches what a unit needs; returns FETCHED with the folder (`held`) and its size, or how the attempt ended."""
    assert isinstance(stage, Fetching)

    def work(context: Context) -> Outcome:
        made = boundary.guarded(context, _first_id(unit), lambda: stage.prepare(unit, context))
        if isinstance(made, Reject):
            return _made_of(stage, unit, made, context)
        n_bytes = sum(file.stat().st_size for file in context.scratch.rglob("*") if file.is_file())
        held = hold(context.scratch, scratch_root, store.url, driver)
        return Outcome(End.FETCHED, facts={"held": str(held), "bytes": n_bytes})

    return _limited(stage, unit, store, scratch_root, attempt, work)


def _first_id(unit: Unit) -> str:
    return unit.ids[0] if unit.ids else unit.name


def _made_of(stage: Stage, unit: Unit, made: Output | Reject, context: Context) -> Outcome:
    """Puts a unit's output in place: files, then rows, then rejects."""
    output = made if isinstance(made, Output) else _of_the_whole(unit, made, context.store)
    if any(reject.reason is Reason.INTERNAL_ERROR for reject in output.rejects):
        boundary.refuse_unusable_scratch(context.scratch)
    facts = _put_in_place(stage.name, unit, output, context.store, context.attempt)
    whole = made.reason if isinstance(made, Reject) else None
    return Outcome(End.DONE, whole, _first_internal(output), facts=facts)


def _limited(
    stage: Stage,
    unit: Unit,
    store: Store,
    scratch_root: Path,
    attempt: int,
    work: Callable[[Context], Outcome],
    held: Path | None = None,
    memory_bytes: int = 0,
    began: Callable[[str], bool] | None = None,
) -> Outcome:
    """Runs `work` in a scratch folder within the unit's limits; returns its outcome, or what ended it instead."""
    limit_s, memory_bytes = time_limit_of(stage, unit), memory_bytes or stage.resources.memory_bytes
    started = time.monotonic()
    try:
        with (
            scratch_folder(scratch_root, store.url, f"{stage.name}-{unit.name}", held) as scratch,
            limits(limit_s, memory_bytes),
        ):
            outcome = work(Context(store, scratch, started + limit_s, attempt, began))
        return replace(outcome, facts={**outcome.facts, "seconds": round(time.monotonic() - started, 3)})
    except HeldGone as error:
        return Outcome(End.TAKEN, Reason.PLACE_FAILED, str(error))
    except Transient as error:
        return Outcome(End.AGAIN, error.reason, error.detail, error.wait_s)
    except StopRun as error:
        if error.reason is Reason.NO_DISK:  # only this machine is full; others may have room
            return Outcome(End.PLACE, error.reason, f"{host_name()}: {error.detail}")
        return Outcome(End.STOP, error.reason, error.detail)
    except PlaceFailed as error:
        return Outcome(End.PLACE, Reason.PLACE_FAILED, f"{host_name()}: {error}")
    except TimeLimitExceeded:
        return Outcome(End.TIMEOUT, detail=f"over {limit_s:.0f} s")
    except (MemoryLimitExceeded, MemoryError):
        return Outcome(End.MEMORY, detail=f"over {memory_bytes} bytes")


def time_limit_of(stage: Stage, unit: Unit) -> float:
    """The time limit of an attempt at a unit in seconds: the unit's own, or its stage's."""
    return unit.time_limit_s or stage.resources.time_limit_s


def _first_internal(output: Output) -> str:
    """The last line of the first internal error among a unit's rejects; "" if there is none."""
    details = (r.detail for r in output.rejects if r.reason is Reason.INTERNAL_ERROR)
    return next(details, "").strip().rpartition("\n")[2]


def _of_the_whole(unit: Unit, reject: Reject, store: Store) -> Output:
    """The rejects of a unit that failed as a whole: for every item on an internal error, else for the first alone."""
    ids = ids_of(unit, store)
    covered = ids if reject.reason is Reason.INTERNAL_ERROR else ids[:1]
    return Output(rejects=[replace(reject, video_id=video_id) for video_id in covered])


def reject_unit(
    stage: str, unit: Unit, reason: AnyReason, detail: str, store: Store, attempt: int, node: str = ""
) -> Outcome:
    """Rejects every video of a unit that failed as a whole. `node`: the machine it ran on."""
    rejects = [Reject(reason, i, detail=detail) for i in ids_of(unit, store)]
    return commit_rejects(stage, unit, rejects, store, attempt, node)


def commit_rejects(
    stage: str, unit: Unit, rejects: list[Reject], store: Store, attempt: int, node: str = ""
) -> Outcome:
    """Puts rejects in place as the only output of a unit."""
    return Outcome(End.DONE, facts=_put_in_place(stage, unit, Output(rejects=rejects), store, attempt, node))


@contextmanager
def _trouble_of(store: Store) -> Iterator[None]:
    """Raises a store's failures as Transient (a bucket's outage) or PlaceFailed (a failing disk), not as the unit's.

    Storage libraries don't raise OSError alone, so every exception is examined; others are re-raised unchanged.
    """
    try:
        yield
    except BaseException as error:
        if not store.is_local and is_passing(error):
            raise Transient(Reason.SERVER_ERROR, f"{store.url}: {error}", wait_s=boundary.STORE_WAIT_S) from error
        if isinstance(error, OSError) and store.is_local and boundary.is_of_the_system(error):
            boundary.refuse_sick_disk(error, store.url)
            raise PlaceFailed(f"{store.url}: cannot be written to ({error})") from error
        raise


def _put_in_place(stage: str, unit: Unit, output: Output, store: Store, attempt: int, node: str = "") -> Facts:
    with _trouble_of(store):
        tables, more = _tables_of(output)
        rejects = [*output.rejects, *more]
        n_bytes = sum(local.stat().st_size for local in output.files.values())
        for relative, local in output.files.items():
            store.put(local, relative)
        token = uuid.uuid4().hex[:12]
        parts = {table: store.write_part(table, stage, unit.name, rows, token) for table, rows in tables.items()}
        found_by = dict(tables)
        if rejects:
            rows = table_of([reject_row(stage, reject, attempt, node) for reject in rejects], REJECTS)
            parts[f"rejects/{stage}"] = store.write_rejects(stage, unit.name, rows, token)
            found_by["rejects"] = rows
    facts: Facts = {
        "rows": {table: rows.num_rows for table, rows in tables.items()},
        "rejects": dict(sorted(Counter(r.reason.value for r in rejects).items())),
        "attempt": attempt,
        "ids": ids_of_unit(found_by),
    }
    if n_bytes:
        facts["bytes"] = n_bytes
    return cast(Facts, {**facts, **output.facts, "parts": parts})


def _tables_of(output: Output) -> tuple[dict[str, pa.Table], list[Reject]]:
    """Converts rows to tables. A video with a row that does not fit its table's schema is rejected; others are
    unaffected.
    """
    tables: dict[str, pa.Table] = {}
    odd: dict[str, str] = {}
    for name, rows in output.rows.items():
        if not rows:
            continue
        try:
            tables[name] = table_of(rows, TABLES[name])
        except _UNFIT:
            odd |= _unfit_videos(name, rows)
    if not odd:
        return tables, []
    kept = {name: [row for row in rows if row.get("video_id") not in odd] for name, rows in output.rows.items()}
    rejects = [Reject(Reason.INTERNAL_ERROR, video_id, detail=detail) for video_id, detail in odd.items()]
    return {name: table_of(rows, TABLES[name]) for name, rows in kept.items() if rows}, rejects


_UNFIT = (ValueError, TypeError, OverflowError, pa.ArrowException)
"""What pyarrow raises for a lone surrogate, a number beyond 64 bits, a null or a wrong type."""


def _unfit_videos(table: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """{video id: error} of the rows that do not fit the table's schema."""
    errors: dict[str, str] = {}
    for row in rows:
        try:
            table_of([row], TABLES[table])
        except _UNFIT as error:
            errors[str(row.get("video_id", ""))] = f"a row of {table} cannot be written: {error}"
    return errors


def detail_of(reject: Reject) -> str:
    """A reject's detail as stored. For an internal error: the program's version and the end of the traceback."""
    text = boundary.plain(reject.detail)
    if reject.reason is not Reason.INTERNAL_ERROR:
        return text[:DETAIL_CHARACTERS]
    return made_by() + text[len(made_by()) - DETAIL_CHARACTERS :]


def reject_row(stage: str, reject: Reject, attempt: int, node: str = "") -> RejectRow:
    """A row of the rejects table. `node`: the machine, if it is another."""
    now = datetime.now(UTC).replace(microsecond=0)
    later = reject.reason.class_ is ReasonClass.LATER and reject.reason is not Reason.INTERNAL_ERROR
    return {
        "stage": stage,
        "video_id": reject.video_id,
        "clip_id": reject.clip_id,
        "reason": reject.reason.value,
        "class": reject.reason.class_.value,
        "detail": detail_of(reject),
        "attempts": attempt,
        "at": now.isoformat(),
        "next_try_at": (now + timedelta(seconds=reject.retry_after_s)).isoformat() if later else "",
        "node": node or host_name(),
    }

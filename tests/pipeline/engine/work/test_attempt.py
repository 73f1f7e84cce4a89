"""One attempt at a unit: its own limit, and whose fault a failure is."""

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work import attempt as attempt_module
from pipeline.engine.work.attempt import End, Outcome, attempt_unit, fetch_for, reject_row
from pipeline.engine.work.unit import (
    Context,
    Output,
    PlaceFailed,
    Reject,
    Rejected,
    Resources,
    StopRun,
    Transient,
    Unit,
)
from tests.pipeline.engine.toy_limits import toy
from tests.pipeline.engine.toys import listing


def test_a_unit_s_own_limit_goes_before_its_stage_s(tmp_path: Path) -> None:
    stage = toy(tmp_path, "hang", time_limit_s=50)
    outcome = attempt_unit(stage, Unit("a", "hang", ("a",), 0.3), Store(str(tmp_path / "out")), tmp_path / "s", 1)

    assert (outcome.end, outcome.detail) == (End.TIMEOUT, "over 0 s")


@pytest.mark.parametrize(("action", "reason"), [("full", "no_disk"), ("sick disk", "place_failed")])
def test_a_full_or_failing_disk_is_its_machine_s_and_names_it(tmp_path: Path, action: str, reason: str) -> None:
    stage = toy(tmp_path, action, time_limit_s=9)
    outcome = attempt_unit(stage, Unit("a", action, ("a",)), Store(str(tmp_path / "out")), tmp_path / "s", 1)

    assert (outcome.end, outcome.reason) == (End.PLACE, reason)
    assert outcome.detail.startswith(f"{socket.gethostname()}: ")


@dataclass(frozen=True)
class Making:
    """What a unit comes to: an output, or an error that it ends in."""

    made: Output | Exception
    films: Mapping[str, bytes] = field(default_factory=dict)
    name: str = "making"
    resources: Resources = Resources(time_limit_s=60)
    seen: list[Context] = field(default_factory=list)

    def units(self, store: Store) -> list[Unit]:
        return []

    def prepare(self, unit: Unit, context: Context) -> None:
        if isinstance(self.made, Exception):
            raise self.made
        (context.scratch / "folder").mkdir()
        for name, film in self.films.items():
            (context.scratch / "folder" / name).write_bytes(film)

    def process(self, unit: Unit, context: Context) -> Output:
        self.seen.append(context)
        if isinstance(self.made, Exception):
            raise self.made
        for name, film in self.films.items():
            (context.scratch / name).write_bytes(film)
        return replace(self.made, files={f"packs/{name}": context.scratch / name for name in self.films})


AB = Unit("both", None, ("a", "b"))


def made(tmp_path: Path, stage: Making, unit: Unit = AB, url: str = "") -> tuple[Store, Outcome]:
    store = Store(url or str(tmp_path / "out"))
    return store, attempt_unit(stage, unit, store, tmp_path / "s", 2)


def rows(store: Store, outcome: Outcome) -> list[Any]:
    store.commit("making", "both", outcome.facts)
    return store.read_rejects().to_pylist()


def test_an_error_of_this_program_turns_all_of_a_unit_away_and_a_verdict_only_the_first(tmp_path: Path) -> None:
    store, outcome = made(tmp_path / "bug", Making(ValueError("odd")))
    assert (outcome.reason, outcome.detail, outcome.n_internal) == (Reason.INTERNAL_ERROR, "ValueError: odd", 2)
    found = rows(store, outcome)
    assert [(row["video_id"], row["next_try_at"], row["attempts"]) for row in found] == [("a", "", 2), ("b", "", 2)]

    store, outcome = made(tmp_path / "verdict", Making(Rejected(Reason.PRIVATE, "said so")))
    assert (outcome.end, outcome.reason, outcome.detail) == (End.DONE, Reason.PRIVATE, "")
    assert [(row["video_id"], row["detail"]) for row in rows(store, outcome)] == [("a", "said so")]

    store, outcome = made(tmp_path / "nameless", Making(ValueError("odd")), Unit("alone"))
    assert [row["video_id"] for row in rows(store, outcome)] == ["alone"]


def test_when_a_reject_is_tried_again_is_written_down(tmp_path: Path) -> None:
    rejects = [
        Reject(Reason.RATE_LIMITED, "a", retry_after_s=7200.0),
        Reject(Reason.PRIVATE, "b", retry_after_s=7200.0),
    ]
    later, never = rows(*made(tmp_path, Making(Output(rejects=rejects))))

    assert datetime.fromisoformat(later["next_try_at"]) - datetime.fromisoformat(later["at"]) == timedelta(hours=2)
    assert later["at"].endswith("+00:00") and "." not in later["at"] and never["next_try_at"] == ""
    assert reject_row("making", rejects[0], 1, "spot-7")["node"] == "spot-7"


def test_a_row_that_no_table_can_hold_costs_its_video_alone(tmp_path: Path) -> None:
    listings = [listing("a"), listing("b") | {"title": "\ud800"}, listing("c") | {"view_count": 2**70}]
    store, outcome = made(tmp_path, Making(Output({"listings": listings})))

    found = {row["video_id"]: row["detail"] for row in rows(store, outcome)}
    assert found.keys() == {"b", "c"} and all("a row of listings cannot be written" in said for said in found.values())
    assert outcome.facts["rows"] == {"listings": 1}


@pytest.mark.parametrize(
    ("error", "end", "reason", "wait_s"),
    [
        (Transient(Reason.RATE_LIMITED, "429", wait_s=7.0), End.AGAIN, Reason.RATE_LIMITED, 7.0),
        (StopRun(Reason.BAD_COOKIES, "export"), End.STOP, Reason.BAD_COOKIES, 0.0),
        (StopRun(Reason.NO_DISK, "full"), End.PLACE, Reason.NO_DISK, 0.0),
        (PlaceFailed("sick"), End.PLACE, Reason.PLACE_FAILED, 0.0),
        (MemoryError(), End.MEMORY, None, 0.0),
    ],
)
def test_how_an_attempt_ends(tmp_path: Path, error: Exception, end: End, reason: Reason | None, wait_s: float) -> None:
    stage = Making(error)
    _, outcome = made(tmp_path, stage)
    fetch = fetch_for(stage, AB, Store(str(tmp_path / "out")), tmp_path / "s", 1, "driver")

    for ended in (outcome, fetch):
        assert (ended.end, ended.reason, ended.wait_s) == (end, reason, wait_s)
        assert ended.detail.startswith(f"{socket.gethostname()}: ") == (end is End.PLACE)


@pytest.mark.parametrize(
    ("url", "error", "end", "reason"),
    [
        ("memory://out", OSError(errno.EBUSY, "503"), End.AGAIN, Reason.SERVER_ERROR),
        ("", OSError(errno.ENOSPC, "full"), End.PLACE, Reason.NO_DISK),
        ("", OSError(errno.EROFS, "read-only"), End.PLACE, Reason.PLACE_FAILED),
        ("", OSError(errno.EACCES, "not allowed"), End.PLACE, Reason.PLACE_FAILED),
    ],
)
def test_tables_that_cannot_be_written_are_the_stores_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, error: OSError, end: End, reason: Reason
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Store, "write_part", fail)
    _, outcome = made(tmp_path, Making(Output({"listings": [listing("a")]})), url=url)

    assert (outcome.end, outcome.reason) == (end, reason)
    if end is End.AGAIN:
        assert outcome.wait_s == 5.0


def test_a_unit_that_is_given_up_is_rejected_with_its_machine(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    outcome = attempt_module.reject_unit("making", AB, Reason.KILLED_WORKER, "died", store, 3, "spot-7")

    assert outcome.end is End.DONE
    found = [(row["video_id"], row["attempts"], row["node"]) for row in rows(store, outcome)]
    assert found == [("a", 3, "spot-7"), ("b", 3, "spot-7")]

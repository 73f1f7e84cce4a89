"""What the driver promises, on both executors: each unit ends as a commit, and nothing is lost or charged wrongly."""

import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from manifests.reasons import Reason
from pipeline.engine.attempt import End, Outcome
from pipeline.engine.executor import Executor, Finished, LocalExecutor
from pipeline.engine.limits import KILL_AFTER_S
from pipeline.engine.lock import RunLock
from pipeline.engine.run import RunStopped, StageResult, run_stage
from pipeline.engine.store import Store
from pipeline.engine.unit import Resources, Unit
from pipeline.outdir.retries import is_due
from tests.pipeline.engine.toys import Counter, Counting, Itemwise, PartlyRejecting, ToyStage


@pytest.fixture(scope="module")
def ray_executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    from pipeline.engine.cluster import RayExecutor

    executor = RayExecutor(tmp_path_factory.mktemp("scratch"), n_cpus=2)
    yield executor
    executor.close()


@pytest.fixture(params=["local", "ray"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Executor:
    return LocalExecutor(tmp_path / "scratch") if request.param == "local" else request.getfixturevalue("ray_executor")


def run(
    tmp_path: Path, executor: Executor, *actions: tuple[str, str], patience: int = 3, limit_s: float = 60
) -> tuple[Store, StageResult]:
    (tmp_path / "marks").mkdir(exist_ok=True)
    store = Store(str(tmp_path / "out"))
    stage = ToyStage(actions, tmp_path / "marks", resources=Resources(n_cpus=1, time_limit_s=limit_s))
    with RunLock(store) as lock:
        return store, run_stage(stage, store, executor, lock, patience=patience)


def attempts(tmp_path: Path, unit: str) -> int:
    return len(list((tmp_path / "marks").glob(f"{unit}.*")))


def test_units_end_as_rows_files_and_commits(tmp_path: Path, executor: Executor) -> None:
    store, result = run(tmp_path, executor, ("a", ""), ("b", ""))

    assert store.read_table("listings").column("video_id").to_pylist() == ["a", "b"]
    assert store.committed("toy") == {"a", "b"}
    assert store.read("packs/a.txt") == b"a"
    assert (result.n_made, result.n_missing) == (2, 0)


def test_a_second_run_does_only_what_has_no_commit(tmp_path: Path, executor: Executor) -> None:
    store, _ = run(tmp_path, executor, ("a", ""), ("b", ""))
    store.uncommit("toy", "b")

    _, result = run(tmp_path, executor, ("a", ""), ("b", ""))

    assert (attempts(tmp_path, "a"), attempts(tmp_path, "b")) == (1, 2)
    assert (result.n_done_before, result.n_units) == (1, 1)


def test_rows_of_a_unit_without_commit_do_not_count(tmp_path: Path, executor: Executor) -> None:
    store, _ = run(tmp_path, executor, ("a", ""), ("b", ""))
    store.uncommit("toy", "a")

    assert store.read_table("listings").column("video_id").to_pylist() == ["b"]


def test_a_rejected_unit_is_a_reject_with_its_reason(tmp_path: Path, executor: Executor) -> None:
    store, result = run(tmp_path, executor, ("a", "reject"), ("b", ""))

    (row,) = store.read_rejects().to_pylist()
    assert (row["video_id"], row["reason"], row["class"], row["next_try_at"]) == ("a", "private", "never", "")
    assert result.rejects == {"private": 1}


def test_a_bug_costs_its_unit_and_says_where_it_was(tmp_path: Path, executor: Executor) -> None:
    store, _ = run(tmp_path, executor, ("a", "bug"), ("b", ""))

    (row,) = store.read_rejects().to_pylist()
    assert row["reason"] == "internal_error"
    assert "RuntimeError: a bug of the stage" in row["detail"]
    assert store.committed("toy") == {"a", "b"}


def test_units_that_all_fail_alike_stop_the_run_and_keep_no_verdict(tmp_path: Path) -> None:
    actions = [(f"u{i:02d}", "bug") for i in range(20)]
    with pytest.raises(RunStopped, match="failed in the same way: RuntimeError: a bug of the stage"):
        run(tmp_path, LocalExecutor(tmp_path / "scratch"), *actions)

    assert Store(str(tmp_path / "out")).committed("toy") == set()
    assert attempts(tmp_path, "u19") == 0


def test_a_bug_that_only_some_units_meet_does_not_stop_the_run(tmp_path: Path) -> None:
    actions = [(f"u{i:02d}", "bug" if i % 4 else "") for i in range(20)]
    store, result = run(tmp_path, LocalExecutor(tmp_path / "scratch"), *actions)

    assert result.rejects == {"internal_error": 15}
    assert store.read_table("listings").num_rows == 5


def test_a_bug_is_tried_once_more_in_the_same_run(tmp_path: Path, executor: Executor) -> None:
    store, result = run(tmp_path, executor, ("a", "bug-once"), ("b", "bug"))

    assert (attempts(tmp_path, "a"), attempts(tmp_path, "b")) == (2, 2)
    assert result.rejects == {"internal_error": 1}
    assert store.read_table("listings").column("video_id").to_pylist() == ["a"]


def test_a_bug_is_put_off_until_another_version_of_the_program(tmp_path: Path) -> None:
    store, _ = run(tmp_path, LocalExecutor(tmp_path / "scratch"), ("a", "bug"))
    (row,) = store.read_rejects().to_pylist()

    assert row["class"] == "later"
    assert not is_due(row, datetime.now(UTC) + timedelta(days=365))
    assert is_due({**row, "detail": row["detail"].replace("hdvila ", "hdvila 0.0.", 1)}, datetime.now(UTC))


def itemwise(tmp_path: Path, *actions: tuple[str, str]) -> Store:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        run_stage(Itemwise(actions), store, LocalExecutor(tmp_path / "scratch"), lock)
    return store


def test_an_item_costs_itself_alone_whatever_it_does(tmp_path: Path) -> None:
    store = itemwise(tmp_path, ("a", ""), ("b", "bug"), ("c", "reject"), ("d", "surrogate"), ("e", ""))

    assert store.read_table("listings").column("video_id").to_pylist() == ["a", "e"]
    rejects = {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}
    assert rejects == {"b": "internal_error", "c": "private", "d": "internal_error"}


def test_an_input_that_its_disk_does_not_give_is_tried_later(tmp_path: Path) -> None:
    store = itemwise(tmp_path, ("a", "read /proc/self/mem"), ("b", ""), ("c", "read /nowhere"))

    rejects = {row["video_id"]: (row["reason"], row["class"]) for row in store.read_rejects().to_pylist()}
    assert rejects == dict.fromkeys("ac", ("unreadable_input", "later"))


def test_three_inputs_in_a_row_are_the_disks_fault(tmp_path: Path) -> None:
    sick, fine = "read /proc/self/mem", f"read {__file__}"
    itemwise(tmp_path / "mixed", ("a", sick), ("b", sick), ("c", fine), ("d", sick), ("e", sick))

    with pytest.raises(RunStopped, match="3 input files in a row"):
        itemwise(tmp_path / "all", ("a", sick), ("b", sick), ("c", sick), ("d", fine))

    assert Store(str(tmp_path / "all" / "out")).committed("itemwise") == set()


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("sick disk", "look at this machine's disk"),
        ("scratch gone", "scratch folder cannot be written to"),
        ("incomplete", "install the package again"),
    ],
)
def test_an_error_of_the_place_stops_the_run_and_is_no_verdict(tmp_path: Path, action: str, said: str) -> None:
    with pytest.raises(RunStopped, match=said) as stopped:
        run(tmp_path, LocalExecutor(tmp_path / "scratch"), ("a", ""), ("b", action))

    store = Store(str(tmp_path / "out"))
    assert stopped.value.exit_code == 3
    assert store.read_rejects().num_rows == 0
    assert "b" not in store.committed("toy")


def test_a_scratch_folder_that_cannot_be_used_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path)
    others = tmp_path / "others"
    others.mkdir()

    for scratch, said in ((tmp_path / "file", "cannot be made|is a link"), (tmp_path / "link", "is a link")):
        with pytest.raises(RunStopped, match=said):
            run(tmp_path, LocalExecutor(scratch), ("a", ""))
    if os.getuid() == 0:
        os.chown(others, 12345, -1)
        with pytest.raises(RunStopped, match="another user"):
            run(tmp_path, LocalExecutor(others), ("a", ""))
    assert not Store(str(tmp_path / "out")).committed("toy")


def test_the_scratch_folder_is_this_users_alone(tmp_path: Path) -> None:
    run(tmp_path, LocalExecutor(tmp_path / "scratch"), ("a", ""))

    assert stat.S_IMODE((tmp_path / "scratch").stat().st_mode) == 0o700


def test_a_refusal_for_now_is_tried_again_and_not_charged(tmp_path: Path, executor: Executor) -> None:
    store, result = run(tmp_path, executor, ("a", "busy-once"))

    assert attempts(tmp_path, "a") == 2
    assert result.rejects == {}
    assert store.read_table("listings").num_rows == 1


def test_after_the_patience_a_refusal_is_a_reject_that_says_when_to_retry(tmp_path: Path, executor: Executor) -> None:
    store, _ = run(tmp_path, executor, ("a", "busy"), patience=3)

    (row,) = store.read_rejects().to_pylist()
    assert attempts(tmp_path, "a") == 3
    assert (row["reason"], row["class"]) == ("rate_limited", "later")
    assert row["next_try_at"] > row["at"]


def test_stop_ends_the_run_and_keeps_what_was_committed(tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match="export it again"):
        run(tmp_path, LocalExecutor(tmp_path / "scratch"), ("a", ""), ("b", "stop"), ("c", ""))

    assert Store(str(tmp_path / "out")).committed("toy") == {"a"}


def test_a_full_disk_stops_the_run_with_the_cure(tmp_path: Path, executor: Executor) -> None:
    with pytest.raises(RunStopped, match="free some space"):
        run(tmp_path, executor, ("a", "full"))


def test_a_unit_over_its_time_twice_is_a_reject(tmp_path: Path, executor: Executor) -> None:
    store, _ = run(tmp_path, executor, ("a", "hang"), ("b", "hang-once"), limit_s=3)

    rejects = {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}
    assert rejects == {"a": "timeout"}
    assert attempts(tmp_path, "b") == 2


def test_a_stuck_worker_is_killed_at_its_own_limit_however_busy_the_cluster(
    tmp_path: Path, ray_executor: Executor
) -> None:
    began = time.time()
    died: list[float] = []
    watch = threading.Thread(target=lambda: died.append(death_of(tmp_path / "marks" / "a.0")), daemon=True)
    watch.start()

    store, _ = run(tmp_path, ray_executor, ("a", "stuck"), *((f"n{i}", "nap") for i in range(30)), limit_s=3)
    watch.join(timeout=30)

    rejects = {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}
    assert rejects == {"a": "timeout"}
    assert attempts(tmp_path, "a") == 2
    lived_s = died[0] - (tmp_path / "marks" / "a.0").stat().st_mtime
    assert 3 <= lived_s < 3 + KILL_AFTER_S + 5
    assert began < died[0]


def death_of(mark: Path) -> float:
    """When the process that left this mark was gone."""
    while not mark.exists() or not mark.read_text():
        time.sleep(0.05)
    status = Path(f"/proc/{mark.read_text()}/status")
    while status.exists() and "State:\tZ" not in status.read_text():
        time.sleep(0.05)
    return time.time()


def test_a_lost_worker_is_made_up_for_and_the_third_loss_is_a_reject(tmp_path: Path, ray_executor: Executor) -> None:
    store, _ = run(tmp_path, ray_executor, ("a", "die"), ("b", "die-once"), ("c", ""))

    rejects = {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}
    assert rejects == {"a": "killed_worker"}
    assert (attempts(tmp_path, "a"), attempts(tmp_path, "b"), attempts(tmp_path, "c")) == (3, 2, 1)


class OnSpot(LocalExecutor):
    """Machines that go away under the first attempts at a unit; notes which were to be alone, and as which attempt."""

    def __init__(self, scratch: Path, unit: str, n_lost: int) -> None:
        super().__init__(scratch)
        self._unit, self._n_lost = unit, n_lost
        self.asked: list[tuple[int, bool]] = []

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        super().submit(stage, unit, attempt, alone=alone)
        if unit.name == self._unit:
            self.asked.append((attempt, alone))

    def collect(self, timeout_s: float) -> Finished | None:
        finished = super().collect(timeout_s)
        if finished is None or finished.unit.name != self._unit or len(self.asked) > self._n_lost:
            return finished
        return replace(finished, outcome=Outcome(End.TAKEN, Reason.KILLED_WORKER, "node died", host="spot-7"))


@pytest.mark.parametrize("n_lost", [2, 3])
def test_a_machine_that_goes_away_is_not_charged_to_its_unit(tmp_path: Path, n_lost: int) -> None:
    spot = OnSpot(tmp_path / "scratch", "a", n_lost)
    store, result = run(tmp_path, spot, ("a", ""), ("b", ""))

    assert spot.asked == [(1, False), (1, False), (1, False), (1, True)][: n_lost + 1]
    assert store.commit_facts("toy", "a")["attempt"] == 1
    assert result.rejects == {}


def test_a_unit_that_loses_a_machine_of_its_own_after_three_others_is_given_up(tmp_path: Path) -> None:
    store, _ = run(tmp_path, OnSpot(tmp_path / "scratch", "a", 99), ("a", ""), ("b", ""))

    (row,) = store.read_rejects().to_pylist()
    assert (row["video_id"], row["reason"], row["node"]) == ("a", "killed_worker", "spot-7")
    assert attempts(tmp_path, "a") == 4


def test_scratch_is_gone_whatever_happened(tmp_path: Path) -> None:
    run(tmp_path, LocalExecutor(tmp_path / "scratch"), ("a", ""), ("b", "bug"), ("c", "reject"))

    assert list((tmp_path / "scratch").iterdir()) == []


def test_one_unit_can_keep_some_and_reject_others(tmp_path: Path, executor: Executor) -> None:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        run_stage(PartlyRejecting(), store, executor, lock)

    assert store.read_table("listings").column("video_id").to_pylist() == ["a"]
    assert [row["video_id"] for row in store.read_rejects().to_pylist()] == ["b"]
    facts = store.commit_facts("partly", "both")
    assert (facts["rows"], facts["rejects"], facts["exhausted"]) == ({"listings": 1}, {"live": 1}, True)


def test_shared_state_is_one_for_all_workers(tmp_path: Path, executor: Executor) -> None:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        run_stage(Counting(executor.share("counter", Counter)), store, executor, lock)

    counts = sorted(store.commit_facts("counting", unit)["count"] for unit in store.committed("counting"))
    assert counts[-1] - counts[0] == 5


def test_what_is_cancelled_does_not_run(tmp_path: Path) -> None:
    executor, stage = LocalExecutor(tmp_path / "scratch"), ToyStage((("a", "ok"),), tmp_path)
    store = Store(str(tmp_path / "out"))
    executor.begin(stage, store)
    executor.submit("toy", next(iter(stage.units(store))), 1)

    executor.cancel_all()

    assert executor.collect(0.0) is None

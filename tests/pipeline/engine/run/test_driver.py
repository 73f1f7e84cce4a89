"""What the driver promises: each unit ends as a commit, and nothing is lost or charged wrongly. Every way to end comes
back from a worker of Ray as it does from this process.
"""

import errno
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import is_passing
from manifests.lock import RunLock
from manifests.plugins import Used
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor, LocalExecutor
from pipeline.engine.work.limits import KILL_AFTER_S
from pipeline.outdir.retries import is_due
from tests.pipeline.engine.runs import attempts, run
from tests.pipeline.engine.toys import Counter, Counting, Naps, PartlyRejecting


@pytest.fixture(scope="module")
def ray_executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    from pipeline.engine.on_ray.cluster import RayExecutor

    executor = RayExecutor(tmp_path_factory.mktemp("scratch"), n_cpus=2)
    yield executor
    executor.close()


@pytest.fixture
def local(tmp_path: Path) -> Executor:
    return LocalExecutor(tmp_path / "scratch")


@pytest.fixture(params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> Executor:
    executor: Executor = request.getfixturevalue("local" if request.param == "local" else "ray_executor")
    return executor


def test_the_workers_that_a_local_ray_starts_beforehand_are_the_ones_that_work(ray_executor: Executor) -> None:
    """Before tests that kill them."""
    import ray

    pid, there = ray.get(ray.remote(lambda: (os.getpid(), dict(os.environ))).remote())
    logs = Path(ray._private.worker._global_node.get_logs_dir_path())
    beforehand = {int(path.stem.rpartition("-")[2]) for path in logs.glob("worker-*-ffffffff-*.err")}

    assert len(beforehand) == 2, "Ray names the log of a worker that it starts without a driver after no job"
    assert pid in beforehand
    assert (there["PYTHONSAFEPATH"], there["RAY_USAGE_STATS_ENABLED"]) == ("1", "0")


def test_each_end_of_a_unit_is_a_commit_with_rows_or_a_reject_with_its_reason(
    tmp_path: Path, executor: Executor
) -> None:
    actions = {"a": "", "b": "reject", "c": "bug", "d": "bug-once", "e": "busy-once"}
    store, result = run(tmp_path, executor, *actions.items())

    assert sorted(store.read_table("listings").column("video_id").to_pylist()) == ["a", "d", "e"]
    assert store.committed("toy") == {*actions} and store.read("packs/a.txt") == b"a"
    assert (result.n_made, result.n_missing, result.rejects) == (5, 0, {"private": 1, "internal_error": 1})
    rejects = {row["video_id"]: row for row in store.read_rejects().to_pylist()}
    refused, ours = rejects["b"], rejects["c"]
    assert (refused["reason"], refused["class"], refused["next_try_at"]) == ("private", "never", "")
    assert ours["reason"] == "internal_error" and "RuntimeError: a bug of the stage" in ours["detail"]
    assert [attempts(tmp_path, unit) for unit in actions] == [1, 1, 2, 2, 2], "a bug and a refusal are tried again"


def test_a_second_run_does_only_what_has_no_commit(tmp_path: Path, local: Executor) -> None:
    store, _ = run(tmp_path, local, ("a", ""), ("b", ""))
    store.uncommit("toy", "b")

    _, result = run(tmp_path, local, ("a", ""), ("b", ""))

    assert (attempts(tmp_path, "a"), attempts(tmp_path, "b")) == (1, 2)
    assert (result.n_done_before, result.n_units) == (1, 1)


def test_units_that_all_fail_alike_stop_the_run_and_keep_no_verdict(tmp_path: Path, local: Executor) -> None:
    actions = [(f"u{i:02d}", "bug") for i in range(20)]
    with pytest.raises(RunStopped, match="failed in the same way: RuntimeError: a bug of the stage"):
        run(tmp_path, local, *actions)

    assert Store(str(tmp_path / "out")).committed("toy") == set()
    assert attempts(tmp_path, "u19") == 0


def test_a_bug_that_only_some_units_meet_does_not_stop_the_run(tmp_path: Path, local: Executor) -> None:
    actions = [(f"u{i:02d}", "bug" if i % 4 else "") for i in range(20)]
    store, result = run(tmp_path, local, *actions)

    assert result.rejects == {"internal_error": 15}
    assert store.read_table("listings").num_rows == 5


def test_a_bug_is_put_off_until_another_version_of_the_program(tmp_path: Path, local: Executor) -> None:
    store, _ = run(tmp_path, local, ("a", "bug"))
    (row,) = store.read_rejects().to_pylist()

    assert row["class"] == "later"
    assert not is_due(row, datetime.now(UTC) + timedelta(days=365))
    assert is_due({**row, "detail": row["detail"].replace("hdvila ", "hdvila 0.0.", 1)}, datetime.now(UTC))


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("sick disk", "look at this machine's disk"),
        ("scratch gone", "scratch folder cannot be written to"),
        ("incomplete", "install the package again"),
    ],
)
def test_an_error_of_the_place_stops_the_run_and_is_no_verdict(
    tmp_path: Path, local: Executor, action: str, said: str
) -> None:
    with pytest.raises(RunStopped, match=said) as stopped:
        run(tmp_path, local, ("a", ""), ("b", action))

    store = Store(str(tmp_path / "out"))
    assert stopped.value.exit_code == 3
    assert store.read_rejects().num_rows == 0
    assert "b" not in store.committed("toy")


def test_after_the_patience_a_refusal_is_a_reject_that_says_when_to_retry(tmp_path: Path, local: Executor) -> None:
    store, _ = run(tmp_path, local, ("a", "busy"), patience=3)

    (row,) = store.read_rejects().to_pylist()
    assert attempts(tmp_path, "a") == 3
    assert (row["reason"], row["class"]) == ("rate_limited", "later")
    assert row["next_try_at"] > row["at"]


def test_stop_ends_the_run_and_keeps_what_was_committed(tmp_path: Path, local: Executor) -> None:
    with pytest.raises(RunStopped, match="export it again"):
        run(tmp_path, local, ("a", ""), ("b", "stop"), ("c", ""))

    assert Store(str(tmp_path / "out")).committed("toy") == {"a"}


def test_a_full_disk_stops_the_run_with_the_cure(tmp_path: Path, executor: Executor) -> None:
    with pytest.raises(RunStopped, match="free some space"):
        run(tmp_path, executor, ("a", "full"))


def test_a_unit_over_its_time_twice_is_a_reject(tmp_path: Path, executor: Executor) -> None:
    limit_s = 0.6 if isinstance(executor, LocalExecutor) else 1.5
    store, _ = run(tmp_path, executor, ("a", "hang"), ("b", "hang-once"), limit_s=limit_s)

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

    store, _ = run(tmp_path, ray_executor, ("a", "stuck"), *((f"n{i}", "nap") for i in range(12)), limit_s=1.5)
    watch.join(timeout=120)

    rejects = {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}
    assert rejects == {"a": "timeout"}
    assert attempts(tmp_path, "a") == 2
    lived_s = died[0] - (tmp_path / "marks" / "a.0").stat().st_mtime
    assert 1.5 <= lived_s < 1.5 + KILL_AFTER_S + 60
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


def test_shared_state_raises_what_it_would_in_this_process(executor: Executor) -> None:
    shared = executor.share("failing", Counter)

    with pytest.raises(OSError, match="503") as raised:
        shared.fail()

    assert raised.value.errno == errno.EBUSY and is_passing(raised.value)


def test_a_worker_of_another_version_is_refused_with_both_named(
    tmp_path: Path, ray_executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "_build", "hdvila 9.9, source 0123456789ab")  # as of a driver of another version
    with pytest.raises(RunStopped, match=r"runs hdvila .*, source .*, the driver hdvila 9\.9, source 0123456789ab"):
        run(tmp_path, ray_executor, ("a", ""), ("b", ""))


def test_a_worker_without_a_package_that_the_run_uses_is_refused(
    tmp_path: Path, ray_executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "_steps", (Used("checks", "too_green", "greenery 1.0", "0123456789ab"),))
    with pytest.raises(RunStopped, match=r"has nothing for too_green of checks, the driver greenery 1\.0"):
        run(tmp_path, ray_executor, ("a", ""), ("b", ""))


def test_a_worker_s_process_and_its_log_name_stage_and_unit(tmp_path: Path, ray_executor: Executor) -> None:
    import ray

    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        run_stage(Naps(1, nap_s=0.0), store, ray_executor, lock)
    logs = Path(ray._private.worker._global_node.get_logs_dir_path())
    written = "".join(log.read_text() for log in logs.glob("worker-*.err"))

    assert store.commit_facts("naps", "u000")["process"].startswith("ray::naps:u000")
    assert "naps:u000 begins" in written

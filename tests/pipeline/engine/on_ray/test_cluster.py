"""A cluster of several machines that come and go: what a machine does costs no unit, and what comes is used."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.lock import RunLock
from pipeline.engine.on_ray.ray_session import TRIES, RayNotStarted, StartOfRay
from pipeline.engine.on_ray.waiting import Waiting
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Resources, Stage
from tests.conftest import REPO
from tests.pipeline.engine.on_ray.test_waiting import a_stage, marks, most_at_a_time
from tests.pipeline.engine.toys import Fetched, Naps, SickOnOneNode, ToyStage


@pytest.fixture(scope="module")
def head() -> Iterator[Any]:
    """A cluster of one machine with a slot, to which tests add others."""
    from ray.cluster_utils import Cluster

    cluster = started(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 1}))
    yield cluster
    cluster.shutdown()


@pytest.fixture
def cluster(head: Any, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """(cluster of a machine with one slot, executor on it). Machines that the test adds are gone after it."""
    import ray

    from pipeline.engine.on_ray.cluster import RayExecutor

    assert not ray.is_initialized()
    executor = RayExecutor(tmp_path / "scratch", address=head.address)
    try:
        yield head, executor
    finally:
        for node in list(head.worker_nodes):
            head.remove_node(node)
        executor.close()


def started(start: Callable[[], Any]) -> Any:
    """What starts; on a busy machine Ray's processes may need more than one try."""
    for _ in range(TRIES):
        with suppress(RayNotStarted), StartOfRay("a cluster"):
            return start()
    raise AssertionError("Ray's processes did not start")


def run(stage: Stage, store: Store, executor: Any) -> None:
    with RunLock(store) as lock:
        run_stage(stage, store, executor, lock)


@contextmanager
def running(stage: Stage, store: Store, executor: Any) -> Iterator[threading.Thread]:
    """A stage that runs while the block does something to its cluster, which only a main thread can; then its end."""
    thread = threading.Thread(target=run, args=(stage, store, executor), daemon=True)
    thread.start()
    yield thread
    thread.join(timeout=400)
    assert not thread.is_alive()


def until(holds: Callable[[], bool], limit_s: float = 200.0) -> None:
    """Waits until something holds."""
    end = time.monotonic() + limit_s
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)


IN_A_TERMINAL = """
import sys
from pathlib import Path
from pipeline.engine.on_ray.cluster import RayExecutor
from manifests.lock import RunLock
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from tests.pipeline.engine.toys import ToyStage

folder = Path(sys.argv[1])
(folder / "marks").mkdir()
store, executor = Store(str(folder / "out")), RayExecutor(folder / "scratch", n_cpus=1)
with RunLock(store) as lock:
    run_stage(ToyStage((("video", "set the terminal"),), folder / "marks"), store, executor, lock)
executor.close()
"""


@pytest.mark.long
def test_in_a_terminal_a_program_that_a_worker_starts_is_not_stopped_by_it(tmp_path: Path) -> None:
    """Workers are in the terminal's background, where the kernel stops who sets it."""
    terminal, screen = os.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, str(tmp_path)],
        stdin=screen,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(REPO)},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        assert program.wait(timeout=120) == 0
    finally:
        os.close(screen)
        os.close(terminal)
        program.kill()
    store = Store(str(tmp_path / "out"))
    assert store.committed("toy") == {"video"} and store.read_rejects().num_rows == 0


@pytest.mark.slow
def test_a_driver_that_was_submitted_as_a_job_takes_the_environment_of_the_job(
    head: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from pipeline.engine.on_ray.cluster import RayExecutor

    submitted = {"runtime_env": {"env_vars": {"PYTHONSAFEPATH": "1", "OF_THE_JOB": "yes"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(submitted))
    executor = RayExecutor(tmp_path / "scratch", address=head.address)
    try:
        there = ray.get(ray.remote(lambda: dict(os.environ)).remote())
    finally:
        executor.close()

    names = ("OF_THE_JOB", "PYTHONSAFEPATH", "RAY_USAGE_STATS_ENABLED")
    assert [there[name] for name in names] == ["yes", "1", "0"], "and of ours what the job did not set"


@pytest.mark.slow
def test_fetches_run_beside_each_other_on_one_slot_and_what_waits_is_bounded(head: Any, tmp_path: Path) -> None:
    from pipeline.engine.on_ray.cluster import RayExecutor

    store, stage = Store(str(tmp_path / "out")), a_stage(tmp_path, 6, fetch_s=1.0, make_s=0.2)
    waiting = Waiting(most_bytes=2500, most_fetches=3)
    executor = RayExecutor(tmp_path / "scratch", address=head.address, waiting=waiting)

    try:
        run(stage, store, executor)
    finally:
        executor.close()

    assert store.committed("fetched") == {f"u{i}" for i in range(6)}
    assert len(list((tmp_path / "out" / "commits").rglob("*.json"))) <= 6, "one commit a unit, and none of a fetch"
    assert most_at_a_time(marks(stage, "fetch")) in (2, 3), "the slot does not bound them"
    makes = marks(stage, "make")
    assert all(one["ended"] <= other["began"] for one, other in pairwise(makes)), "one slot, one at a time"
    assert max(mark["n_held"] for mark in marks(stage, "fetch")) <= 2, "of 1000 bytes each: more are over the bound"
    assert store.read("packs/u3.txt").strip() == b"u3"
    assert not [path for path in (tmp_path / "scratch").iterdir() if path.is_dir()]


@pytest.mark.slow
def test_a_machine_that_fails_is_fenced_for_a_while_and_its_units_go_elsewhere(
    tmp_path: Path, cluster: tuple[Any, Any]
) -> None:
    store, (head, executor) = Store(str(tmp_path / "out")), cluster
    head.add_node(num_cpus=1, resources={"sick": 1})
    head.wait_for_nodes()
    run(SickOnOneNode(8), store, executor)
    slots = [executor.n_slots]
    fenced = executor._machines._fenced
    fenced.update(dict.fromkeys(fenced, time.monotonic()))  # as if its time were over
    slots.append(executor.n_slots)

    assert len(store.committed("sick")) == 8
    assert store.read_rejects().num_rows == 0
    assert len({store.commit_facts("sick", unit)["node"] for unit in store.committed("sick")}) == 1
    assert slots == [1, 2]


@pytest.mark.slow
def test_a_stage_with_a_custom_resource_runs_where_that_is_and_waits_for_it(
    head: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from pipeline.engine.on_ray.cluster import RayExecutor

    (tmp_path / "marks").mkdir()
    store, stage = Store(str(tmp_path / "out")), Fetched(4, tmp_path / "marks")
    executor = RayExecutor(
        tmp_path / "scratch", address=head.address, resources={"fetched": {"custom": {"decoder": 0.5}}}
    )
    try:
        with running(stage, store, executor):
            until(lambda: executor.n_slots == 1)
            joined = head.add_node(num_cpus=4, resources={"decoder": 1})
    finally:
        executor.close()
        head.remove_node(joined)

    assert "no machine has CPU 1, decoder 0.5; at most CPU 1, decoder 0. Its units wait" in caplog.text
    assert store.committed("fetched") == {f"u{i}" for i in range(4)}, "also fetched there: it is made where it lies"


@pytest.mark.slow
def test_a_machine_that_joins_is_used_and_one_that_goes_costs_no_unit(tmp_path: Path, cluster: tuple[Any, Any]) -> None:
    store, (head, executor) = Store(str(tmp_path / "out")), cluster
    go_on = tmp_path / "go-on"

    def n_begun() -> int:
        return len(list(tmp_path.glob("go-on.*")))

    with running(Naps(6, nap_s=0.1, until=str(go_on)), store, executor):
        until(lambda: n_begun() == 1)
        joined = head.add_node(num_cpus=2)
        until(lambda: n_begun() == 3)
        used = n_begun(), executor.n_slots
        head.remove_node(joined, allow_graceful=False)
        until(lambda: executor.n_slots == 1)
        left = executor.n_slots
        go_on.touch()

    assert (used, left) == ((3, 3), 1), "two units had begun on the one that joined, and were lost with it"
    facts = [store.commit_facts("naps", unit) for unit in store.committed("naps")]
    assert len(facts) == 6 and {one["node"] for one in facts} == {head.head_node.node_id}
    assert store.read_rejects().num_rows == 0
    assert {one["attempt"] for one in facts} == {1}, "no charge"


@pytest.mark.slow
def test_a_machine_with_a_notice_hands_its_units_over_before_it_goes(
    tmp_path: Path, cluster: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    store, (head, executor) = Store(str(tmp_path / "out")), cluster
    go_on, notice_s = tmp_path / "go-on", 90
    joined = head.add_node(num_cpus=2)
    head.wait_for_nodes()

    with running(Naps(4, nap_s=0.1, until=str(go_on), expected_s=900), store, executor):
        until(lambda: len(list(tmp_path.glob("go-on.*"))) == 3)
        preempted, deadline_ms = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"), 1000 * (time.time() + notice_s)
        client = GcsClient(address=head.address)
        assert client.drain_node(joined.node_id, preempted, "spot", int(deadline_ms)) == (True, "")
        until(lambda: "leaves" in caplog.text)
        handed_over_ms, left = 1000 * time.time(), executor.n_slots
        go_on.touch()

    assert handed_over_ms < deadline_ms and left == 1, "as soon as the notice is read"
    assert "leaves: 2 of its units are given to others" in caplog.text
    facts = [store.commit_facts("naps", unit) for unit in store.committed("naps")]
    assert len(facts) == 4 and {one["node"] for one in facts} == {head.head_node.node_id}
    assert {one["attempt"] for one in facts} == {1} and store.read_rejects().num_rows == 0
    assert "tried again" not in caplog.text, "none was lost"


@pytest.mark.long
def test_where_a_machine_goes_away_what_lay_there_is_fetched_again(tmp_path: Path, cluster: tuple[Any, Any]) -> None:
    store, (head, executor) = Store(str(tmp_path / "out")), cluster
    (tmp_path / "marks").mkdir()
    stage = Fetched(6, tmp_path / "marks")
    head.add_node(num_cpus=8, resources={"leaves": 1})
    head.wait_for_nodes()
    run(stage, store, executor)

    assert store.committed("fetched") == {f"u{i}" for i in range(6)}
    assert store.read_rejects().num_rows == 0
    left = (stage.marks / "left").read_text()
    assert len(list(stage.marks.glob(f"fetch.{left}.*.json"))) == 2
    assert {store.commit_facts("fetched", unit)["attempt"] for unit in store.committed("fetched")} == {1}, "no charge"


@pytest.mark.long
def test_what_ray_kills_when_memory_runs_out_is_no_fault_of_a_unit_that_was_not_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.engine.on_ray.cluster import RayExecutor

    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")  # always over it: whatever runs is killed
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "250")
    (tmp_path / "marks").mkdir()
    store, executor = Store(str(tmp_path / "out")), RayExecutor(tmp_path / "scratch", n_cpus=1)
    try:
        run(ToyStage((("a", "hang"),), tmp_path / "marks", resources=Resources(time_limit_s=120)), store, executor)
    finally:
        executor.close()

    (row,) = store.read_rejects().to_pylist()
    assert (row["video_id"], row["reason"], row["attempts"]) == ("a", "over_memory", 1), "three were not charged"
    assert len(list((tmp_path / "marks").glob("a.*"))) <= 4


def test_a_node_that_does_not_come_up_in_time_is_tried_again_then_a_message_and_no_fault_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from pipeline.engine.on_ray.cluster import RayExecutor

    half_started: list[subprocess.Popen[bytes]] = []

    def slow(**_: object) -> None:
        half_started.append(subprocess.Popen(["sleep", "600"]))
        raise Exception("The current node timed out during startup. This could happen because …")

    monkeypatch.setattr(ray, "init", slow)
    refused = r"a local Ray: did not start .*timed out during startup.*engine.executor: local"
    with pytest.raises(UserError, match=refused) as raised:
        RayExecutor(tmp_path)
    assert raised.value.exit_code == ExitCode.STOPPED, "the machine's fault: there is nothing to correct first"
    assert [process.wait(timeout=60) for process in half_started] == [-signal.SIGKILL] * TRIES, "none is left behind"

    def wrong(**_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(ray, "init", wrong)
    with pytest.raises(KeyError):
        RayExecutor(tmp_path)

"""What a run tells of itself beside its tables: Prometheus' metrics, lines of JSON, what a worker is called."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.lock import RunLock
from manifests.run_status import RunStatus
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.progress import set_up_logging
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.scratch import host_name
from pipeline.engine.work.unit import Resources
from tests.conftest import REPO
from tests.pipeline.engine.toys import ToyStage

MONITORING = REPO / "docker" / "monitoring"


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "log.jsonl"
    set_up_logging(json_file=path)
    yield path
    set_up_logging()


def toy(tmp_path: Path, *actions: tuple[str, str], limit_s: float = 60) -> ToyStage:
    (tmp_path / "marks").mkdir()
    return ToyStage(actions, tmp_path / "marks", resources=Resources(n_cpus=1, time_limit_s=limit_s))


def scraped(url: str) -> list[str]:
    """The lines that Prometheus reads."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode()).splitlines()


def ours(lines: list[str]) -> dict[str, float]:
    """{metric with labels: value} of what begins with hdvila."""
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if line.startswith("ray_hdvila"))}


def names_of_tasks(lines: list[str]) -> set[str]:
    """What Ray's own metric of tasks calls them."""
    found = (re.search(r'^ray_tasks{.*\bName="([^"]*)"', line) for line in lines)
    return {match[1] for match in found if match}


@pytest.mark.slow
def test_prometheus_scrapes_units_rejects_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from pipeline.engine.on_ray.cluster import RayExecutor

    monkeypatch.setenv("RAY_metrics_report_interval_ms", "1000")
    executor, store = RayExecutor(tmp_path / "scratch", n_cpus=1), Store(str(tmp_path / "out"))
    try:
        desk = Desk(store, publishes=False, tell=executor.measure)
        with RunLock(store) as lock:
            run_stage(toy(tmp_path, ("a", ""), ("b", ""), ("c", "reject")), store, executor, lock, desk=desk)
        whole = RunStatus(
            loop_lag_s=2, planned_at=3, committed_at=4, time_left_s=60, requests={"here": 5}, cost=6, clips=500
        )
        executor.measure_run(whole)
        (node,) = ray.nodes()
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        until = time.monotonic() + 60
        while sum(ours(lines := scraped(url)).values()) < 92 and time.monotonic() < until:
            time.sleep(1)
    finally:
        executor.close()

    found = ours(lines)
    assert {name.partition("{")[0]: n for name, n in found.items()} == {
        "ray_hdvila_units_total": 3,
        "ray_hdvila_units_in_flight": 0,
        "ray_hdvila_rejects_total": 1,
        "ray_hdvila_bytes_total": 2,
        "ray_hdvila_loop_lag_seconds": 2,
        "ray_hdvila_planned_timestamp_seconds": 3,
        "ray_hdvila_committed_timestamp_seconds": 4,
        "ray_hdvila_time_left_seconds": 60,
        "ray_hdvila_requests_total": 5,
        "ray_hdvila_cost_per_1000_clips": 12,
    }
    assert sum('stage="toy"' in name for name in found) == 4 and sum('identity="here"' in name for name in found) == 1
    watched = set(re.findall(r"ray_hdvila_\w+", "".join(p.read_text() for p in MONITORING.iterdir())))
    assert watched <= {name.partition("{")[0] for name in found} | {"ray_hdvila_losses_total"}, (
        "none but those there are"
    )
    named = {name for name in names_of_tasks(lines) if "Roll." not in name}  # its actor, one a run
    assert named == {"toy"}, "Ray keeps a metric for each name for as long as the driver lives: no unit may be in it"


def test_the_log_file_names_stage_unit_and_node_in_each_line_of_a_unit(tmp_path: Path, log_file: Path) -> None:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        stage = toy(tmp_path, ("a", ""), ("b", "hang-once"), limit_s=1.5)
        run_stage(stage, store, LocalExecutor(tmp_path / "s"), lock)

    lines = [json.loads(line) for line in log_file.read_text().splitlines()]
    of_units = [line for line in lines if line.get("unit")]
    assert {(line["stage"], line["unit"]) for line in of_units} == {("toy", "a"), ("toy", "b")}
    made = [line for line in of_units if line["message"].endswith("committed")]
    assert [line["node"] for line in made] == [host_name()] * 2
    assert made[0]["rows"] == {"listings": 1} and made[0]["bytes"] == 1
    assert any("timeout" in line["message"] and line["level"] == "warning" for line in of_units)
    assert all(line["at"].endswith("+00:00") for line in lines)

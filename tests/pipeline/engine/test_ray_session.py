"""Ray's address: what answers there, and what environment a submitted job has."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from manifests.errors import UserError

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "no-such-host.invalid:6379", "ray://[::1]:1", "ray://127.0.0.1"]
)
def test_an_address_where_nobody_listens_is_named_without_waiting_for_ray(tmp_path: Path, address: str) -> None:
    import ray

    from pipeline.engine.cluster import RayExecutor

    with pytest.raises(UserError, match=r"no answer .*engine.ray_address"):
        RayExecutor(tmp_path, address=address)
    assert not ray.is_initialized()


def test_a_name_server_that_never_answers_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.engine import ray_session
    from pipeline.engine.cluster import RayExecutor

    answered = threading.Event()
    monkeypatch.setattr(ray_session, "CONNECT_S", 0.2)
    monkeypatch.setattr(ray_session.socket, "getaddrinfo", lambda *_: answered.wait(60))
    try:
        with pytest.raises(UserError, match=r"the name head\.example was not resolved"):
            RayExecutor(tmp_path, address="head.example:6379")
    finally:
        answered.set()


def test_an_address_from_the_environment_is_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.engine.cluster import RayExecutor

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match="Ray at auto: no answer"):
        RayExecutor(tmp_path, address="auto")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_something_else_listens_is_named_without_waiting_for_ray(tmp_path: Path, scheme: str) -> None:
    import ray

    from pipeline.engine.cluster import RayExecutor

    refused = pytest.raises(UserError, match=r"what listens there is not Ray.*engine.ray_address")
    with socket.create_server(("127.0.0.1", 0)) as silent, refused:
        RayExecutor(tmp_path, address=f"{scheme}127.0.0.1:{silent.getsockname()[1]}")
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_driver_that_was_submitted_as_a_job_takes_the_environment_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from pipeline.engine.cluster import RayExecutor

    submitted = {"runtime_env": {"env_vars": {"PYTHONSAFEPATH": "1", "OF_THE_JOB": "yes"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(submitted))
    executor = RayExecutor(tmp_path / "scratch", n_cpus=1)
    try:
        there = ray.get(ray.remote(lambda: dict(os.environ)).remote())
    finally:
        executor.close()

    assert (there["OF_THE_JOB"], there["PYTHONSAFEPATH"]) == ("yes", "1")


@pytest.mark.slow
def test_the_workers_that_a_local_ray_starts_beforehand_are_the_ones_that_work(tmp_path: Path) -> None:
    import ray

    from pipeline.engine.cluster import RayExecutor

    before = dict(os.environ)
    executor = RayExecutor(tmp_path / "scratch", n_cpus=2)
    try:
        pid, there = ray.get(ray.remote(lambda: (os.getpid(), dict(os.environ))).remote())
        logs = Path(ray._private.worker._global_node.get_logs_dir_path())
        beforehand = {int(path.stem.rpartition("-")[2]) for path in logs.glob("worker-*-ffffffff-*.err")}
    finally:
        executor.close()

    assert len(beforehand) == 2, "Ray names the log of a worker that it starts without a driver after no job"
    assert pid in beforehand
    assert (there["PYTHONSAFEPATH"], there["RAY_USAGE_STATS_ENABLED"]) == ("1", "0")
    assert os.environ.get("PYTHONSAFEPATH") == before.get("PYTHONSAFEPATH"), "the driver's own stays"

"""Ray's address: what answers there, and what environment a submitted job has."""

import logging
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from manifests.errors import UserError
from pipeline.engine.on_ray import ray_session


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "no-such-host.invalid:6379", "ray://[::1]:1", "ray://127.0.0.1"]
)
def test_an_address_where_nobody_listens_is_named_without_waiting_for_ray(tmp_path: Path, address: str) -> None:
    import ray

    from pipeline.engine.on_ray.cluster import RayExecutor

    with pytest.raises(UserError, match=r"no answer .*engine.ray_address"):
        RayExecutor(tmp_path, address=address)
    assert not ray.is_initialized()


def test_a_name_server_that_never_answers_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.engine.on_ray.cluster import RayExecutor

    answered = threading.Event()
    monkeypatch.setattr(ray_session, "CONNECT_S", 0.2)
    monkeypatch.setattr(ray_session.socket, "getaddrinfo", lambda *_: answered.wait(60))
    try:
        with pytest.raises(UserError, match=r"the name head\.example was not resolved"):
            RayExecutor(tmp_path, address="head.example:6379")
    finally:
        answered.set()


def test_an_address_from_the_environment_is_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.engine.on_ray.cluster import RayExecutor

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match="Ray at auto: no answer"):
        RayExecutor(tmp_path, address="auto")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_something_else_listens_is_named_without_waiting_for_ray(tmp_path: Path, scheme: str) -> None:
    import ray

    from pipeline.engine.on_ray.cluster import RayExecutor

    refused = pytest.raises(UserError, match=r"what listens there is not Ray.*engine.ray_address")
    with socket.create_server(("127.0.0.1", 0)) as silent, refused:
        RayExecutor(tmp_path, address=f"{scheme}127.0.0.1:{silent.getsockname()[1]}")
    assert not ray.is_initialized()


@pytest.mark.slow
def test_the_workers_that_a_local_ray_starts_beforehand_are_the_ones_that_work(tmp_path: Path) -> None:
    import ray

    from pipeline.engine.on_ray.cluster import RayExecutor

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


def started(monkeypatch: pytest.MonkeyPatch, address: str, n_cpus: int = 0) -> tuple[dict[str, Any], dict[str, str]]:
    """What Ray is started with, and the environment that its processes inherit of what we set."""
    asked: dict[str, Any] = {}
    inherited: dict[str, str] = {}

    def init(**options: Any) -> None:
        asked.update(options)
        inherited.update({name: os.environ[name] for name in ray_session.WORKERS_ENVIRONMENT if name in os.environ})

    monkeypatch.setattr(ray_session.ray, "init", init)
    monkeypatch.setattr(ray_session, "_refuse_deaf", lambda address: asked.update(checked=address))
    ray_session.start_ray(address, n_cpus, 1 << 28, "ours")
    return asked, inherited


def test_a_local_ray_is_one_of_our_own_with_the_slots_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    asked, inherited = started(monkeypatch, "")
    common = {"namespace": "ours", "logging_level": logging.ERROR, "log_to_driver": False}
    local = {"address": "local", "include_dashboard": False, "object_store_memory": 1 << 28}

    assert asked == {**common, **local}, "all cores, and no runtime environment"
    assert started(monkeypatch, "", 3)[0] == {**common, **local, "num_cpus": 3}
    assert inherited == {"PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    assert "PYTHONSAFEPATH" not in os.environ and os.environ["RAY_USAGE_STATS_ENABLED"] == "1", "as before"


def test_a_cluster_s_workers_get_what_the_job_did_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    asked, inherited = started(monkeypatch, "ray://head:1", 3)
    assert (asked["address"], asked["checked"], inherited) == ("ray://head:1", "ray://head:1", {})
    assert asked["runtime_env"] == {"env_vars": ray_session.WORKERS_ENVIRONMENT}
    assert not asked.keys() & {"num_cpus", "include_dashboard", "object_store_memory"}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"env_vars": {"PYTHONSAFEPATH": "0"}}}')
    assert started(monkeypatch, "auto")[0]["runtime_env"] == {"env_vars": {"RAY_USAGE_STATS_ENABLED": "0"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": null}')
    assert len(started(monkeypatch, "auto")[0]["runtime_env"]["env_vars"]) == 2


@pytest.mark.parametrize(
    ("address", "environment", "target"),
    [
        ("head:6379", "", "head:6379"),
        ("ray://head", "", "head:10001"),
        ("ray://head:7", "", "head:7"),
        ("ray://", "", ""),
        ("auto", "", ""),
        ("auto", "ray://there", "there:10001"),
        ("head", "ray://there", "head"),
    ],
)
def test_where_an_address_leads(monkeypatch: pytest.MonkeyPatch, address: str, environment: str, target: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", environment)

    assert ray_session._target_of(address) == target


def test_a_head_that_answers_is_let_be_and_one_on_this_machine_is_left_to_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    connection = SimpleNamespace(close=lambda: asked.append("closed"))
    monkeypatch.setattr(ray_session, "_resolve", asked.append)
    monkeypatch.setattr(ray_session, "_refuse_other_program", asked.append)
    monkeypatch.setattr(
        ray_session.socket, "create_connection", lambda to, timeout: asked.append((to, timeout)) or connection
    )
    ray_session._refuse_deaf("auto")
    assert asked == []
    ray_session._refuse_deaf("[::1]:6379")
    assert asked == ["::1", (("::1", 6379), ray_session.CONNECT_S), "closed", "[::1]:6379"]


def test_a_name_that_does_not_exist_is_left_to_who_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []

    def unknown(*_: Any) -> None:
        threads.append(threading.current_thread().daemon)
        raise socket.gaierror("unknown")

    monkeypatch.setattr(ray_session.socket, "getaddrinfo", unknown)
    ray_session._resolve("no-such-host.invalid")

    assert threads == [True], "no process lives on for it"


@pytest.mark.parametrize("tls", ["1", "TRUE"])
def test_a_ray_that_speaks_tls_is_not_asked_in_plain(monkeypatch: pytest.MonkeyPatch, tls: str) -> None:
    monkeypatch.setenv("RAY_USE_TLS", tls)
    monkeypatch.setattr(grpc, "insecure_channel", lambda *_, **__: pytest.fail("asked in plain"))

    ray_session._refuse_other_program("head:6379")


class Answering:
    """A channel to what listens there, and how it answers."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.asked = error, []  # type: ignore[var-annotated]

    def __enter__(self) -> "Answering":
        return self

    def __exit__(self, *_: object) -> None: ...

    def result(self, timeout: float) -> None:
        self.asked.append(timeout)
        if isinstance(self.error, grpc.FutureTimeoutError):
            raise self.error

    def unary_unary(self, method: str) -> Any:
        def call(data: bytes, timeout: float) -> None:
            self.asked.append((method, timeout))
            if self.error:
                raise self.error

        return call


class Refused(grpc.RpcError):
    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said

    def details(self) -> str:
        return self.said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, ""),
        (Refused("Method not found"), ""),
        (Refused("Failed parsing http2 header"), "not Ray: Failed parsing"),
        (grpc.FutureTimeoutError(), "what listens there is not Ray"),
    ],
)
def test_what_listens_is_ray_where_it_answers_as_grpc_does(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, said: str
) -> None:
    channel, options = Answering(error), []  # type: ignore[var-annotated]
    monkeypatch.setattr(grpc, "insecure_channel", lambda target, options: options_of(options) or channel)
    monkeypatch.setattr(grpc, "channel_ready_future", lambda _: channel)

    def options_of(given: Any) -> None:
        options.extend(given)

    if said:
        with pytest.raises(ConnectionError, match=said):
            ray_session._refuse_other_program("head:6379")
    else:
        ray_session._refuse_other_program("head:6379")
        assert channel.asked == [4.0, (ray_session.CLUSTER_ID, 4.0)]
    assert options == [("grpc.enable_http_proxy", 0)], "what listens there itself, whatever proxy is set"


def test_an_error_is_told_by_its_first_line_or_its_class() -> None:
    said = [ray_session.first_line(error) for error in (ValueError("\n one\ntwo"), KeyError(), ValueError("x" * 900))]

    assert said == ["one", "KeyError", "x" * 500]

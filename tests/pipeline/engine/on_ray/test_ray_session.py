"""Ray's address: whether something listens there."""

import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def started(monkeypatch: pytest.MonkeyPatch, address: str, n_cpus: int = 0) -> tuple[dict[str, Any], dict[str, str]]:
    """What Ray is started with, and the environment that its processes inherit of what we set."""
    asked: dict[str, Any] = {}
    inherited: dict[str, str] = {}

    def init(**options: Any) -> None:
        asked.update(options)
        inherited.update({name: os.environ[name] for name in ray_session.WORKERS_ENVIRONMENT if name in os.environ})

    monkeypatch.setattr(ray_session.ray, "init", init)
    ray_session.start_ray(address, n_cpus, 1 << 28, "ours")
    return asked, inherited


@pytest.mark.parametrize(
    ("address", "environment", "target"),
    [
        ("head:6379", "", ("head", 6379)),
        ("ray://head", "", ("head", 10001)),
        ("ray://head:7", "", ("head", 7)),
        ("ray://", "", None),
        ("auto", "", None),
        ("auto", "ray://there", ("there", 10001)),
        ("head", "ray://there", None),
    ],
)
def test_where_an_address_leads(
    monkeypatch: pytest.MonkeyPatch, head: "Head", address: str, environment: str, target: tuple[str, int] | None
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", environment)
    started(monkeypatch, address)

    assert head.asked == ([target] if target else []), "where none is told, Ray looks for a head itself"


class Head:
    """What listens at every address."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def connect(self, to: tuple[str, int], timeout: float) -> Any:
        self.asked.append(to)
        return SimpleNamespace(close=lambda: None)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Head:
    there = Head()
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, _: [])
    monkeypatch.setattr(socket, "create_connection", there.connect)
    return there

"""Joins a Ray cluster or starts a local cluster; explains what is wrong if that fails."""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import ray

from manifests.errors import UserError
from manifests.exits import ExitCode

log = logging.getLogger("hdvila")

TRIES = 3
"""How often a local Ray is started: on a very busy machine its processes miss the 30 s that Ray gives them."""
CONNECT_S = 3.0
CLIENT_PORT = 10001
"""The default port of Ray's client server."""

WORKERS_ENVIRONMENT = {"PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment variables of the workers. Those of a local Ray inherit them: workers that Ray starts beforehand have no
runtime environment, so a driver with its own would make it end them and start others.
"""


def start_ray(address: str, n_cpus: int, object_store_bytes: int, namespace: str) -> None:
    """Connects to an address, or starts a local Ray if that is "". UserError if that fails."""
    options: dict[str, Any] = {"namespace": namespace, "logging_level": logging.ERROR, "log_to_driver": False}
    if address:
        _refuse_deaf(address)
        given = _environment_of_the_job()
        wanted = {name: value for name, value in WORKERS_ENVIRONMENT.items() if name not in given}
        options |= {"address": address, "runtime_env": {"env_vars": wanted}}
    else:
        # "local" starts our own; without it Ray would join whatever cluster runs on this machine
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": object_store_bytes}
        options |= {"num_cpus": n_cpus} if n_cpus else {}
    where = f"Ray at {address}" if address else "a local Ray"
    for n_left in reversed(range(1 if address else TRIES)):
        try:
            with StartOfRay(where), _environment_for(WORKERS_ENVIRONMENT if not address else {}):
                ray.init(**options)
            return
        except RayNotStarted as error:
            if not n_left:
                raise
            log.warning("%s; it is tried again", error)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{where}: cannot be reached or started ({first_line(error)}); check engine.ray_address"
            ) from None


@contextmanager
def _environment_for(started: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for processes started in the block."""
    before = {name: os.environ.get(name) for name in started}
    os.environ.update(started)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class RayNotStarted(UserError):
    """Ray's own processes did not start: a matter of the machine, such as its load, and of no setting."""

    exit_code = ExitCode.STOPPED


class StartOfRay(AbstractContextManager[None]):
    """Turns the bare Exception raised when Ray's own processes don't start (within a fixed 30 s) into RayNotStarted.

    Whatever ends the start, those that did start are ended: Ray itself would leave them until this process ends.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        self._before = _child_processes()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in _child_processes() - self._before if error is not None else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind is Exception and error is not None:
            raise RayNotStarted(
                f"{self._where}: did not start ({first_line(error)}); on a very busy machine run again later, or set "
                "engine.executor: local; else Ray's logs in /tmp/ray/session_latest/logs say why"
            ) from None


def _child_processes() -> set[int]:
    """The processes that this process started and that have not ended; none where /proc is not available."""
    pids: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended
            pids.update(map(int, children.read_text().split()))
    return pids


def _environment_of_the_job() -> set[str]:
    """Names that `ray job submit` was given as env_vars: Ray refuses a driver that sets any of them again."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    return set((job.get("runtime_env") or {}).get("env_vars") or {})


def _refuse_deaf(address: str) -> None:
    """Raises UserError within seconds if nothing listens at an address; Ray itself would try for a minute or two."""
    target = _target_of(address)
    host, _, port = target.rpartition(":")
    if not port.isdigit():
        return  # `auto`: Ray looks for a head on this machine
    try:
        _resolve(host.strip("[]"))
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(
            f"Ray at {address}: no answer ({error}); check engine.ray_address, and that the head node runs"
        ) from None


def _target_of(address: str) -> str:
    """HOST:PORT of an address. A ray:// address has port 10001 by default; `auto` is $RAY_ADDRESS if that is set."""
    given = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    scheme, _, target = given.rpartition("://")
    if scheme == "ray" and target and not target.rpartition(":")[2].isdigit():
        return f"{target}:{CLIENT_PORT}"
    return target


def _resolve(host: str) -> None:
    """Raises TimeoutError if name servers do not answer within CONNECT_S.

    A resolver tries each of its servers for many seconds and takes no limit, so it runs in a thread that is left
    behind. That a name does not exist is left to the connection to report.
    """

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            socket.getaddrinfo(host, None)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(CONNECT_S)
    if asking.is_alive():
        raise TimeoutError(f"the name {host} was not resolved in {CONNECT_S:.0f} s")


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]

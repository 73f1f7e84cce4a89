"""A job on a cluster of three nodes, one of which dies at work; one comes, one is drained: the bytes of a local run."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from miniyoutube.server import MiniYouTube
from pipeline.engine.store.store import Store
from tests.e2e.conftest import Finished
from tests.e2e.small_run import bytes_of, command, line_of, log_of, small_catalogue
from tests.pipeline.engine.on_ray.test_cluster import started
from tests.pipeline.engine.toys import raylet_above

pytestmark = pytest.mark.long

RAY = str(Path(sys.executable).with_name("ray"))
PATIENCE_S = 400.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three nodes of a slot each, with the ports of the first its own: other clusters may run on this machine."""
    from ray.cluster_utils import Cluster

    ports = {name: free_port() for name in ("dashboard_port", "dashboard_agent_listen_port")}
    cluster = started(lambda: Cluster(initialize_head=True, head_node_args={"include_dashboard": True, **ports}))
    try:
        for _ in range(2):
            started(cluster.add_node)
        yield cluster
    finally:
        cluster.shutdown()


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def at_work_on(node: Any) -> list[tuple[int, str]]:
    """(process, video) of the workers that fetch or cut a video on a node at this moment, as their titles say."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is over, or another user's
            title = re.match(r"ray::media:([\w-]{11})\b", (process / "cmdline").read_text())
            if title and raylet_above(int(process.name)) == raylet_of(node):
                found.append((int(process.name), title[1]))
    return found


def one_at_work_on(node: Any) -> tuple[int, str]:
    """Waits for one of them."""
    end = time.monotonic() + PATIENCE_S
    while not (found := at_work_on(node)):
        assert time.monotonic() < end, "nothing began on it"
        time.sleep(0.1)
    return found[0]


def held_on(node: Any) -> tuple[int, str]:
    """A worker that is stopped in the middle of a video, so that it surely holds it."""
    while True:
        pid, video_id = one_at_work_on(node)
        time.sleep(0.3)  # what it works on is noted on another node as well
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            if (pid, video_id) in at_work_on(node):
                return pid, video_id
            os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(1800)
def test_a_job_on_nodes_that_die_come_and_are_drained_makes_the_bytes_of_a_local_run(
    cluster: Any, finished: Finished, tmp_path: Path
) -> None:
    out, address = tmp_path / "out", f"http://{cluster.webui_url}"
    killed, drained = sorted(cluster.worker_nodes, key=lambda node: node.node_id)
    with MiniYouTube(small_catalogue()) as site, log_of(out).open("wb") as log:
        run = command(site, out, "engine.ray_address=auto", videos_per_hour=1200)
        submit = [RAY, "job", "submit", "--address", address, "--", *run]
        job = subprocess.Popen(submit, stdout=log, stderr=log)
        try:
            pid, lost = held_on(killed)
            os.kill(raylet_of(killed), signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)

            joined = started(cluster.add_node)
            one_at_work_on(joined)

            _, moved = held_on(drained)
            reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
            node = ["--address", cluster.address, "--node-id", drained.node_id]
            drain = [RAY, "drain-node", *node, *reason, "--deadline-remaining-seconds", "20"]
            subprocess.run(drain, check=True, stdout=log, stderr=log)
            assert job.wait(timeout=900) == 0, log_of(out).read_text()[-3000:]
        finally:
            job.kill()

    said, store = log_of(out).read_text(), Store(str(out))
    assert f"media: {lost}: taken on" in said, "the node that died held it"
    assert "of its units are given to others" in said and f"media: {moved}: " not in said, "a notice costs no attempt"
    assert bytes_of(out) == bytes_of(finished.out) and line_of(out) == line_of(finished.out)
    assert not list(out.rglob(".tmp-*")) and store.sweep_parts() == 0

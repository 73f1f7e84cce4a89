"""`torchrun --nnodes 2:4`: a run grows as nodes come, shrinks as one dies, and its losses are those of one process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from hdvila_testing.drawn_set import a_tree
from tests.conftest import REPO
from tests.train.loop.test_fit import losses, run
from tests.train.torchrun import ENVIRONMENT

STEPS = 80
SETTINGS = {
    "loop": {"steps": STEPS, "batch": 12},
    "model": {"dropout": 0.0, "drop_path": 0.0},
    # So slow that a rounding stays one: at 1e-3 it reaches 1e-6 after 15 steps, and 1e-3 after 25.
    "optim": {"lr": 1e-6},
    "checkpoint": {"every": 10},
}


class Agents:
    """Nodes of one elastic run, all on this machine."""

    def __init__(self, config: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._config, self.logs = config, config.with_suffix("")
        self.logs.mkdir()
        self.running: list[subprocess.Popen[bytes]] = []

    def add(self) -> None:
        rendezvous = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{self._port}", "--rdzv-id", "elastic")
        elastic = ("--nnodes", "2:4", "--nproc-per-node", "1", "--max-restarts", "9", "--rdzv-conf=last_call_timeout=5")
        words = ("-m", "torch.distributed.run", *elastic, *rendezvous, "-m", "tests.train.slow_fit", str(self._config))
        with (self.logs / f"agent{len(self.running)}.log").open("wb") as log:
            # torch 2.13's agents share the store of the first round: a node that comes later never finds its address
            environment = {**ENVIRONMENT, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
            started = subprocess.Popen(
                [sys.executable, "-W", "ignore", *words], env=environment, cwd=REPO, stdout=log, stderr=log
            )
        self.running.append(started)

    def said(self) -> str:
        return "".join(log.read_text() for log in sorted(self.logs.iterdir()))


def wait_until_said(agents: Agents, words: str) -> None:
    deadline = time.monotonic() + 200
    while words not in agents.said():
        assert time.monotonic() < deadline, agents.said()[-4000:]
        time.sleep(0.2)


@pytest.mark.long
def test_a_run_grows_and_shrinks_with_the_losses_of_one_process(drawn: Path, tmp_path: Path) -> None:
    run(drawn, tmp_path / "whole", **SETTINGS)
    config, out = tmp_path / "run.yaml", tmp_path / "elastic"
    config.write_text(yaml.safe_dump(a_tree(drawn, out, **SETTINGS)))
    agents = Agents(config)

    for _ in range(2):
        agents.add()
    wait_until_said(agents, "step 10/")
    for _ in range(2):
        agents.add()
    wait_until_said(agents, "4 x cpu")
    wait_until_said(agents, "resuming after step")
    agents.running[3].send_signal(signal.SIGKILL)
    codes = [agent.wait(timeout=300) for agent in agents.running]

    assert codes == [0, 0, 0, -signal.SIGKILL], agents.said()[-4000:]
    assert "2 x cpu" in agents.said() and "3 x cpu" in agents.said()
    assert losses(out) == pytest.approx(losses(tmp_path / "whole"), abs=1e-6) and len(losses(out)) == STEPS

"""A cluster that grows by itself: work that is offered brings machines; those without work go, the run goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, need

pytestmark = pytest.mark.long

MAY_BE_ALONE = ["unshare", "-rmpfn", "--mount-proc"]
"""Processes and network of its own: the head takes fixed ports, and all that it started ends with the first process."""

RUN = """
import json, os, subprocess, sys, threading, time
from pathlib import Path
import ray
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from pipeline.engine.on_ray.cluster import RayExecutor
from pipeline.engine.run.driver import run_stage
from manifests.lock import RunLock
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Resources
from tests.pipeline.engine.toys import Naps

folder = Path(sys.argv[1])
types = {
    "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
    "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
}
config = {
    "cluster_name": "fake",
    "max_workers": 2,
    "provider": {
        "type": "fake_multinode",
        "head_node_id": FAKE_HEAD_NODE_ID,
        **dict.fromkeys(("use_internal_ips", "disable_node_updaters", "disable_launch_config_check"), True),
        "use_node_id_as_ip": True,  # all on one machine: by their addresses the idle one would be as busy as the others
    },
    "available_node_types": types,
    "head_node_type": "ray.head.default",
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 0.05,
    "file_mounts_sync_continuously": False,
    "auth": {"ssh_user": "nobody"},
    "docker": {},
    "file_mounts": {},
    **dict.fromkeys(("cluster_synced_files", "rsync_exclude", "initialization_commands", "setup_commands"), []),
    **{f"{node}_{what}": [] for node in ("head", "worker") for what in ("setup_commands", "start_ray_commands")},
}
(folder / "autoscaling.json").write_text(json.dumps(config))
head = ["ray", "start", "--head", "--num-cpus=0", f"--autoscaling-config={folder / 'autoscaling.json'}"]
fake = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
subprocess.run(head, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **fake})
store, executor = Store(str(folder / "out")), RayExecutor(folder / "scratch", address="auto")
def machines():
    return sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes())

n_there, is_over = [], threading.Event()

def watch():
    while not is_over.wait(0.5):
        n_there.append(machines())

slots, room = [executor.n_slots], Resources(memory_bytes=0, time_limit_s=600)
with RunLock(store) as lock:
    run_stage(Naps(16, 2.0, resources=room), store, executor, lock)
    watcher = threading.Thread(target=watch)
    watcher.start()
    run_stage(Naps(1, 60.0, name="last", resources=room), store, executor, lock)
    is_over.set()
    watcher.join()
nodes = [store.commit_facts("naps", unit)["node"] for unit in sorted(store.committed("naps"))]
last = [store.commit_facts("last", unit)["attempt"] for unit in sorted(store.committed("last"))]
executor.close()

def demands():
    said = subprocess.run(["ray", "status"], capture_output=True, text=True).stdout
    return said.partition("From request_resources")[2]

def are_none(left):  # `ray status` shows what a round of the autoscaler saw, which may be one that began before the end
    return "no resource demands" in left and "request_resources()" not in left

until = time.monotonic() + 120
while not are_none(left := demands()) and time.monotonic() < until:
    time.sleep(1)
ray.init(address="auto", logging_level="ERROR", log_to_driver=False)
while (n_left := machines()) and time.monotonic() < until:
    time.sleep(1)
said = {"slots": slots, "nodes": nodes, "demands": left, "rejects": store.read_rejects().num_rows}
said |= {"n_there": n_there, "last": last, "n_left": n_left}
print(json.dumps(said), flush=True)
"""


@pytest.mark.timeout(900)
def test_work_brings_machines_to_a_cluster_without_a_slot_and_those_without_work_go_while_the_run_goes_on(
    tmp_path: Path,
) -> None:
    try:
        may = subprocess.run([*MAY_BE_ALONE, "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0
    except FileNotFoundError:
        may = False
    need(may, "namespaces of its own (unshare -rmpfn, ip)", "kernel")
    alone = 'ip link set lo up && exec "$0" -c "$2" "$1"'
    command = [*MAY_BE_ALONE, "sh", "-c", alone, sys.executable, str(tmp_path), RUN]
    paths = {"PYTHONPATH": str(REPO), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, env={**os.environ, **paths})

    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert said["slots"] == [0], "no machine for units at first"
    assert len(said["nodes"]) == 16 and len(set(said["nodes"])) == 2, "two came, which is the most"
    assert said["n_there"][-1] == 1, "one went while the other worked"
    assert said["last"] == [1], "and cost no unit a try"
    assert said["n_left"] == 0, "the last one went after the run"
    assert "no resource demands" in said["demands"], "nothing keeps them"
    assert "request_resources()" not in said["demands"]
    assert said["rejects"] == 0

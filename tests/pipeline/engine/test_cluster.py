"""A cluster of several machines: one whose disk fails gets no further unit, and costs none."""

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.engine.lock import RunLock
from pipeline.engine.run import run_stage
from pipeline.engine.store import Store
from tests.pipeline.engine.toys import SickOnOneNode


@pytest.mark.slow
def test_a_machine_that_fails_is_fenced_and_its_units_go_elsewhere(tmp_path: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from pipeline.engine.cluster import RayExecutor

    assert not ray.is_initialized()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1, resources={"sick": 1})
    executor = RayExecutor(tmp_path / "scratch", address=cluster.address)
    store = Store(str(tmp_path / "out"))
    try:
        cluster.wait_for_nodes()
        with RunLock(store) as lock:
            run_stage(SickOnOneNode(8), store, executor, lock)
        slots = executor.n_slots
    finally:
        executor.close()
        cluster.shutdown()

    assert len(store.committed("sick")) == 8
    assert store.read_rejects().num_rows == 0
    assert len({store.commit_facts("sick", unit)["node"] for unit in store.committed("sick")}) == 1
    assert slots == 1


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "no-such-host.invalid:6379", "ray://[::1]:1"])
def test_an_address_where_nobody_listens_is_named_without_waiting_for_ray(tmp_path: Path, address: str) -> None:
    import ray

    from pipeline.engine.cluster import RayExecutor

    with pytest.raises(UserError, match=r"nobody answers .*engine.ray_address"):
        RayExecutor(tmp_path, address=address)
    assert not ray.is_initialized()

"""Tars, offsets and sidecars of a stranger: each command ends at once, with one message, or with faults of verify."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.hostile_inputs.sets import ROWS, TAR, TARS, signed
from hdvila_testing.shards import a_data_set
from manifests.errors import UserError
from manifests.schema import SHARD_ROWS, table_of
from manifests.shards import ShardEntry, read_manifest
from pipeline.config.shards import ShardsConfig
from pipeline.dataset.export import export_clips, export_hdvila
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.files import read_rows
from tests.pipeline.dataset.damage import faults

GONE = Tombstones(videos=frozenset({"video-00001"}))
COMMANDS: dict[str, Callable[[Store, Store], object]] = {
    "merge": lambda source, out: merge([source], out),
    "reshard": lambda source, out: reshard(source, out, ShardsConfig(max_samples=2)),
    "export": export_hdvila,
    "export --exact": export_clips,
    "remove": lambda source, out: remove(source, GONE),
}


@pytest.mark.parametrize("attack", TARS)
def test_a_strangers_tar_costs_one_message(copy: Path, tmp_path: Path, attack: str) -> None:
    TARS[attack](copy)
    assert all("\n" not in fault for fault in faults(copy, decode=0))
    for name, command in COMMANDS.items():
        try:
            command(Store(str(copy)), Store(str(tmp_path / f"out {name}")))
        except UserError as error:
            assert "\n" not in str(error) and str(error).isprintable() and len(str(error)) < 1000
            where = str(error).partition(": ")[0]
            assert where.startswith(str(copy)), "it names the data set, and no copy of a shard"
        else:
            assert attack not in ("a size of 2^60", "pax records of 2^60") or name.startswith("export"), (
                f"{name} read it"
            )


def test_what_a_manifest_claims_is_counted_again_by_merge(copy: Path, tmp_path: Path) -> None:
    was = read_manifest(str(copy)).shards[0]
    signed(copy, hours=1e9, categories={999: was.nsamples})

    merged = merge([Store(str(copy))], Store(str(tmp_path / "out"))).manifest

    def counts(entry: ShardEntry) -> tuple[object, ...]:
        return entry.nsamples, entry.hours, entry.categories, entry.sha256, entry.md5, entry.bytes_

    assert counts(merged.shards[0]) == counts(was)


def test_a_shard_whose_rows_name_no_sample_keeps_nobody_from_taking_one_out_of_another_split(tmp_path: Path) -> None:
    store = a_data_set(tmp_path, n_videos=3, n_clips=1)
    store.write_table(
        ROWS, table_of([row | {"status": "odd"} for row in read_rows(store, TAR).to_pylist()], SHARD_ROWS)
    )
    (other,) = {row["video_id"] for row in read_rows(store, "shards/val/00000.tar").to_pylist()}

    assert remove(store, Tombstones(frozenset({other}))).n_samples == 1

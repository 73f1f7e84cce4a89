"""Tars, offsets and sidecars of a stranger: each command ends at once, with one message, or with faults of verify."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import UserError
from manifests.schema import SHARD_ROWS, table_of
from manifests.shards import MANIFEST_NAME, TABLE_NAME, ShardEntry, manifest_bytes, read_manifest
from pipeline.config.shards import ShardsConfig
from pipeline.dataset.export import export_exact, export_hdvila
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.files import read_rows
from tests.pipeline.dataset.damage import TAR, faults

GONE = Tombstones(videos=frozenset({"video-00001"}))
COMMANDS: dict[str, Callable[[Store, Store], object]] = {
    "merge": lambda source, out: merge([source], out),
    "reshard": lambda source, out: reshard(source, out, ShardsConfig(max_samples=2)),
    "export": export_hdvila,
    "export --exact": export_exact,
    "remove": lambda source, out: remove(source, GONE),
}


def signed(folder: Path, **changes: Any) -> None:
    """Writes the manifest that a stranger writes: with the checksums of the tar as it is now, and these changes."""
    manifest = read_manifest(str(folder))
    (entry,) = manifest.shards
    data = (folder / TAR).read_bytes()
    sums = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest(), "bytes_": len(data)}
    head = {k: v for k, v in manifest.head.items() if k in ("name", "card", "members", "index")}
    document, table = manifest_bytes([replace(entry, **{**sums, **changes})], head)
    (folder / MANIFEST_NAME).write_bytes(document)
    (folder / TABLE_NAME).write_bytes(table)


def header(kind: bytes = b"0", size: int = 0, **fields: Any) -> Callable[[Path], None]:
    """Gives the second member of the tar another kind, and a size that only base 256 can say."""

    def change(folder: Path) -> None:
        data = bytearray((folder / TAR).read_bytes())
        at = 512 + -(-int(data[124:135], 8) // 512) * 512
        info = tarfile.TarInfo.frombuf(bytes(data[at : at + 512]), "ascii", "strict")
        info.type, info.size = kind, size or info.size
        for name, value in fields.items():
            setattr(info, name, value)
        data[at : at + 512] = info.tobuf(tarfile.GNU_FORMAT)[:512]
        (folder / TAR).write_bytes(data)
        signed(folder)

    return change


def row(**changes: Any) -> Callable[[Path], None]:
    """Changes the row of the first sample; `members` are merged into its own, None takes one out."""

    def change(folder: Path) -> None:
        store = Store(str(folder))
        rows = read_rows(store, TAR).to_pylist()
        first = next(r for r in rows if r["status"] == "success")
        given = dict(changes)
        members = {**json.loads(first["members"]), **given.pop("members", {})}
        first.update(given, members=json.dumps({k: v for k, v in members.items() if v is not None}))
        store.write_table(TAR.replace(".tar", ".parquet"), table_of(rows, SHARD_ROWS))

    return change


def sidecar(**changes: Any) -> Callable[[Path], None]:
    """Changes the KEY.json of the first sample, in place."""

    def change(folder: Path) -> None:
        data = (folder / TAR).read_bytes()
        start = data.find(b'{"schema_version"')
        end = data.find(b"\0", start)
        document = json.loads(data[start:end])
        text = changes["text"] if "text" in changes else json.dumps(document | {"words": "[]"} | changes)
        (folder / TAR).write_bytes(data[:start] + text.encode()[: end - start].ljust(end - start) + data[end:])
        signed(folder)

    return change


ATTACKS: dict[str, Callable[[Path], None]] = {
    "a size of 2^60": header(size=2**60),
    "a link": header(b"2", linkname="/etc/passwd"),
    "pax records of 2^60": header(b"x", size=2**60),
    "a row's member of 2^61": row(members={"mp4": [512, 2**61]}),
    "a row's member far away": row(members={"mp4": [2**61, 512]}),
    "a row without an mp4": row(members={"mp4": None}),
    "a row without a json": row(members={"json": None}),
    "a clip_id without a number": row(clip_id="video-00000.x"),
    "a json that nests": sidecar(text="[" * 2000),
    "a json of another kind": sidecar(text="[1]"),
    "a first frame far away": sidecar(first_frame=10**9),
    "a first frame of text": sidecar(first_frame="0"),
    "a lone surrogate": sidecar(title="\ud800"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_strangers_tar_costs_one_message(copy: Path, tmp_path: Path, attack: str) -> None:
    ATTACKS[attack](copy)
    assert all("\n" not in fault for fault in faults(copy, decode=0))
    for name, command in COMMANDS.items():
        try:
            command(Store(str(copy)), Store(str(tmp_path / f"out {name}")))
        except UserError as error:
            assert "\n" not in str(error) and str(error).isprintable() and len(str(error)) < 1000
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

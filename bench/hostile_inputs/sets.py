"""A stranger's data sets: one attack each, on a tar, rows, samples, a manifest, an index, a card, tombstones or folders.

An attack on what a checksum covers comes with the manifest that a stranger writes: with the checksums of what is there.
"""

# ruff: noqa: E501 - a table of attacks reads better in long lines

import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schema import SHARD_ROWS, table_of
from manifests.shards import MANIFEST_NAME, TABLE_NAME, manifest_bytes, read_manifest
from pipeline.engine.store.commits import hash_of_group
from pipeline.engine.store.store import Store
from pipeline.shards.files import read_rows

Attack = Callable[[Path], None]
TAR, ROWS, STATS = "shards/train/00000.tar", "shards/train/00000.parquet", "shards/train/00000_stats.json"
HUGE = 2**60
NESTED = "[" * 100_000
_HEAD = ("name", "card", "members", "index")


def signed(folder: Path, **changes: Any) -> None:
    """Writes the manifest that a stranger writes: with the checksums of the tar as it is now, and these changes."""
    manifest = read_manifest(str(folder))
    data = (folder / TAR).read_bytes()
    sums = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest(), "bytes_": len(data)}
    entries = [replace(it, **{**sums, **changes}) if it.url == TAR else it for it in manifest.shards]
    document, table = manifest_bytes(entries, {k: v for k, v in manifest.head.items() if k in _HEAD})
    (folder / MANIFEST_NAME).write_bytes(document)
    (folder / TABLE_NAME).write_bytes(table)


def header(kind: bytes = b"0", size: int = 0, **fields: Any) -> Attack:
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


def tar(change: Callable[[bytes], bytes]) -> Attack:
    """Changes the bytes of the tar."""

    def attack(folder: Path) -> None:
        (folder / TAR).write_bytes(change((folder / TAR).read_bytes()))
        signed(folder)

    return attack


def row(**changes: Any) -> Attack:
    """Changes the row of the first sample; `members` are merged into its own, None takes one out."""

    def change(folder: Path) -> None:
        store = Store(str(folder))
        rows = read_rows(store, TAR).to_pylist()
        first = next(r for r in rows if r["status"] == "success")
        given = dict(changes)
        members = {**json.loads(first["members"]), **given.pop("members", {})}
        kept = json.dumps({k: v for k, v in members.items() if v is not None})
        first.update(given, members=given.pop("text_of_members", kept))
        first.pop("text_of_members", None)
        store.write_table(ROWS, table_of(rows, SHARD_ROWS))

    return change


def sidecar(**changes: Any) -> Attack:
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


def film(data: bytes) -> Attack:
    """Puts other bytes at the place of the first sample's mp4."""
    return tar(lambda whole: whole[:512] + data.ljust(4096, b"\0") + whole[512 + 4096 :])


def head(**changes: Any) -> Attack:
    """Changes keys of manifest.json."""

    def change(folder: Path) -> None:
        document = json.loads((folder / MANIFEST_NAME).read_bytes())
        (folder / MANIFEST_NAME).write_text(json.dumps(document | changes))

    return change


def shards(column: str, value: object) -> Attack:
    """Changes a column of manifest.parquet in all rows, and signs it."""

    def change(folder: Path) -> None:
        table = pq.read_table(folder / TABLE_NAME)
        at = table.column_names.index(column)
        table = table.set_column(
            at, table.schema.field(at), pa.array([value] * len(table), table.schema.field(at).type)
        )
        pq.write_table(table, folder / TABLE_NAME)
        document = json.loads((folder / MANIFEST_NAME).read_bytes())
        document["shards_sha256"] = hashlib.sha256((folder / TABLE_NAME).read_bytes()).hexdigest()
        (folder / MANIFEST_NAME).write_text(json.dumps(document))

    return change


def file(name: str, data: bytes | str) -> Attack:
    """Writes a file, in place of what is there."""

    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)

    return change


def commits(text: str) -> Attack:
    """Writes a group of commits under the hash of its bytes."""
    name = f"group.0000000009.{hash_of_group(text.encode())}.json"
    return file(f"commits/shards/{name}", text)


def link(name: str) -> Attack:
    """Puts a link to the same in the data set beside it, `victim`, in place of a file or folder."""

    def change(folder: Path) -> None:
        at, there = folder / name, folder.parent / "victim" / name
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            there.mkdir() if "." not in there.name else there.write_bytes(b"the victim's")
        shutil.rmtree(at) if at.is_dir() else at.unlink(missing_ok=True)
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(there)

    return change


def bomb(name: str) -> Attack:
    """A Parquet file of a few kilobytes whose rows take 4 GB."""

    def change(folder: Path) -> None:
        names = pq.read_schema(folder / name).names
        text = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x" * 1_000_000]))
        pq.write_table(pa.table({c: text if c == names[0] else pa.array([""] * 4000) for c in names}), folder / name)

    return change


TARS: dict[str, Attack] = {
    "a size of 2^60": header(size=HUGE),
    "a link": header(b"2", linkname="/etc/passwd"),
    "pax records of 2^60": header(b"x", size=HUGE),
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
SETS: dict[str, Attack] = TARS | {
    "a hard link": header(b"1", linkname="../../escaped"),
    "a folder": header(b"5"),
    "a sparse member of 2^60": header(b"S", size=HUGE),
    "a long name of 2^60": header(b"L", size=HUGE),
    "pax records for all of 2^60": header(b"g", size=HUGE),
    "a member's name that leads out": header(name="../../escaped.txt"),
    "an absolute member's name": header(name="/etc/escaped"),
    "a member that is there twice": header(name="video-00000_00000.mp4"),
    "a compressed tar": tar(gzip.compress),
    "a bomb in place of a tar": tar(lambda _: gzip.compress(bytes(1 << 28), 1)),
    "a tar cut in the middle": tar(lambda data: data[: len(data) // 2 + 100]),
    "an empty tar": tar(lambda _: b""),
    "a tar of blanks": tar(lambda _: bytes(10240)),
    "a playlist for a film": film(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
    "a script for a film": film(b"ffconcat version 1.0\nfile /etc/passwd\n"),
    "a row's key that leads out": row(key="../../escaped"),
    "a row's video that leads out": row(video_id="../../escaped"),
    "a row's members that nest": row(text_of_members=NESTED),
    "a row of a day's length": row(duration_ms=2**31 - 1),
    "a row of no category": row(category_id=-1),
    "a row's caption that a terminal obeys": row(caption="\x1b]0;x\x07\x1b[2J\r"),
    "rows that are no Parquet": file(ROWS, b"PAR1 no PAR1"),
    "rows of 4 GB": bomb(ROWS),
    "hours of a century": lambda folder: signed(folder, hours=1e9),
    "samples of 2^61": shards("nsamples", 2**61),
    "a shard that leads out": shards("url", "../victim/shards/train/00000.tar"),
    "a split that leads out": shards("split", "../../escaped"),
    "a shard's bytes of 2^61": shards("bytes", 2**61),
    "one shard twice": shards("url", TAR),
    "a manifest that nests": file(MANIFEST_NAME, NESTED),
    "a manifest of 5,000 digits": file(MANIFEST_NAME, '{"schema_version": ' + "9" * 5000 + "}"),
    "a manifest of tomorrow": head(schema_version=99),
    "a manifest's name that a terminal obeys": head(name="\x1b[2J\x1b]0;x\x07"),
    "a manifest of other kinds": head(config=[], card=7, members={}),
    "members that lead out": head(members=["../../escaped"]),
    "an index that leads out": head(index={"train": [{"url": "../victim/index/train-00000-000.arrow"}]}),
    "an index that is none": file("index/train-00000-000.arrow", b"ARROW1\0\0" + b"\xff" * 4096),
    "a manifest's table of 4 GB": bomb(TABLE_NAME),
    "stats that nest": file(STATS, NESTED),
    "a card of scripts": file("dataset_card.md", "{{ 7*7 }}<script>alert(1)</script>\x1b[2J" * 1000),
    "tombstones that are no text": file("tombstones.txt", b"\xff\xfe\0video \x1b[2J\n" * 1000),
    "tombstones for everything": file("tombstones.txt", "channel \nvideo ../../escaped\nurl http://[x\n"),
    "a selection that is none": file("selection.parquet", b"PAR1" + bytes(64) + b"PAR1"),
    "a selection of 4 GB": bomb("selection.parquet"),
    "commits that nest": commits(NESTED),
    "commits of another kind": commits('{"units": [1]}'),
    "a state of a run that nests": file("status.json", NESTED),
    "a lock that nests": file("run.lock", NESTED),
    "a report that nests": file("report/report.json", NESTED),
    **{f"{name}, a link to another set's": link(name) for name in (
        "shards", "packs", "index", "manifests", "report", "removals", TAR, ROWS, TABLE_NAME, MANIFEST_NAME, "tombstones.txt",
        "dataset_card.md", "run.lock",
    )},
}  # fmt: skip
"""What each test of tars tries, and all that is tried with every command."""

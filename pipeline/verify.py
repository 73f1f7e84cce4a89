"""Reads a finished data set through and names each fault.

Shards are independent; what must hold across them (keys unique, splits apart, members the same) is kept in a `_Whole`.

    checksums         sha256, md5 and size against manifest.parquet; wids.json and sizes.json against the manifest
    structure         the tar's own headers against the rows' offsets; each sample's members complete
    content           json against the schema and against rows, txt and caption the same, stills where the json says
    decoding          all frames of mp4 and m4v, each still; of some samples of each shard, or of all
    counts            rows, stats and manifest agree; nothing that tombstones.txt names
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pydantic import ValidationError

from manifests.errors import UserError
from manifests.sample import SampleJson, clip_id
from manifests.shards import Manifest, ShardEntry, read_manifest, sizes_bytes, wids_bytes
from pipeline.engine.store import Store
from pipeline.manifest import split_indexes
from pipeline.packs import PackedSample, index_pack, read_members
from pipeline.shard_files import SUCCESS, entry_of, read_rows, sample_of_row, shard_files
from pipeline.shard_plan import seeded_hash
from pipeline.tombstones import Tombstones, read_tombstones
from pipeline.verify_media import media_faults


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be: where (a file, or a sample in it) and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class _Whole:
    """What is known of the data set so far."""

    tombstones: Tombstones
    decode: int
    keys: dict[str, str] = field(default_factory=dict)
    """Shard of each sample's key."""
    members: tuple[str, ...] = ()
    video_splits: dict[str, str] = field(default_factory=dict)


def verify(store: Store, *, decode: int = 2) -> Iterator[Fault]:
    """Every fault of the data set, as it is found. `decode`: samples of each shard to decode, -1 for all.

    Raises UserError only where there is no manifest at all; one that cannot be used is a fault and ends the check.
    """
    try:
        manifest = read_manifest(store.url, **dict(store.options))
    except UserError as error:
        if not store.exists("manifest.json"):
            raise
        yield Fault("manifest.json", str(error))
        return
    tombstones = read_tombstones(store)
    if tombstones.under_way:
        yield Fault("tombstones.txt", "a removal was interrupted; run the same `remove` again")
    yield from _index_faults(store, manifest)
    whole = _Whole(tombstones, decode)
    for entry in manifest.shards:
        yield from _shard_faults(store, entry, whole)


def _index_faults(store: Store, manifest: Manifest) -> Iterator[Fault]:
    name_of_all = str(manifest.head.get("name", ""))
    wanted = {
        "wids.json": wids_bytes(manifest.shards, name=name_of_all),
        "sizes.json": sizes_bytes(manifest.shards),
        **split_indexes(manifest.shards, name=name_of_all),
    }
    for name, data in wanted.items():
        if not store.exists(name):
            yield Fault(name, "is missing")
        elif store.read(name) != data:
            yield Fault(name, "differs from the manifest")
    seen: set[str] = set()
    for entry in manifest.shards:
        if entry.url in seen:
            yield Fault("manifest.parquet", f"{entry.url} is listed twice")
        seen.add(entry.url)


def _shard_faults(store: Store, entry: ShardEntry, whole: _Whole) -> Iterator[Fault]:
    missing = [name for name in shard_files(entry.url) if not store.exists(name)]
    if missing:
        yield from (Fault(name, "is missing") for name in missing)
        return
    with tempfile.TemporaryFile() as copy:
        sha256, md5, size = _copy_and_hash(store, entry.url, copy)
        for what, found, wanted in (
            ("size", size, entry.bytes_),
            ("sha256", sha256, entry.sha256),
            ("md5", md5, entry.md5),
        ):
            if found != wanted:
                yield Fault(entry.url, f"{what} is {found}, the manifest says {wanted}")
        yield from _rows_faults(store, entry, copy, whole)


def _copy_and_hash(store: Store, url: str, copy: BinaryIO) -> tuple[str, str, int]:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with store.open(url) as file:
        while block := file.read(1 << 22):
            sha256.update(block)
            md5.update(block)
            copy.write(block)
            size += len(block)
    return sha256.hexdigest(), md5.hexdigest(), size


def _rows_faults(store: Store, entry: ShardEntry, tar: BinaryIO, whole: _Whole) -> Iterator[Fault]:
    try:
        table = read_rows(store, entry.url)
    except UserError as error:
        yield Fault(shard_files(entry.url)[1], str(error))
        return
    counted = entry_of(table, entry.url, entry.split, entry.generation, entry.sha256, entry.md5, entry.bytes_)
    for name in ("nsamples", "hours", "categories"):
        found, wanted = getattr(counted, name), getattr(entry, name)
        if found != wanted:
            yield Fault(shard_files(entry.url)[1], f"{name} is {found}, the manifest says {wanted}")
    rows = table.to_pylist()
    yield from _stats_faults(store, entry, len(rows))
    yield from _row_set_faults(entry, rows, whole)
    try:
        places = {sample.key: sample for sample in index_pack(tar)}
    except UserError as error:
        yield Fault(entry.url, f"is no whole tar of samples ({error})")
        return
    yield from _sample_set_faults(entry, rows, places, tar, whole)


def _stats_faults(store: Store, entry: ShardEntry, n_rows: int) -> Iterator[Fault]:
    name = shard_files(entry.url)[2]
    try:
        stats = store.read_json(name)
        found = (stats["count"], stats["successes"], stats["shard"]["sha256"])
    except (ValueError, KeyError, TypeError):
        yield Fault(name, "is not the stats of a shard")
        return
    if found != (n_rows, entry.nsamples, entry.sha256):
        yield Fault(name, f"count, successes, sha256 are {found}, should be {(n_rows, entry.nsamples, entry.sha256)}")


def _row_set_faults(entry: ShardEntry, rows: list[dict[str, Any]], whole: _Whole) -> Iterator[Fault]:
    for row in rows:
        where = f"{entry.url}: {row['key']}"
        split = whole.video_splits.setdefault(row["video_id"], entry.split)
        if split != entry.split:
            yield Fault(where, f"its video is also in split {split}")
        if whole.tombstones.cover(row["video_id"], row["channel_id"]):
            yield Fault(where, "was removed (tombstones.txt) and is here; run the same `remove` again")
        if row["status"] != SUCCESS:
            continue
        first = whole.keys.setdefault(row["key"], entry.url)
        if first != entry.url:
            yield Fault(where, f"key is also in {first}")


def _sample_set_faults(
    entry: ShardEntry, rows: list[dict[str, Any]], places: dict[str, PackedSample], tar: BinaryIO, whole: _Whole
) -> Iterator[Fault]:
    samples = [row for row in rows if row["status"] == SUCCESS]
    for key in places.keys() - {row["key"] for row in samples}:
        yield Fault(f"{entry.url}: {key}", "stands in the tar and has no row")
    by_chance = sorted(samples, key=lambda row: seeded_hash(0, "verify", row["key"]))
    decoded = {row["key"] for row in (by_chance if whole.decode < 0 else by_chance[: whole.decode])}
    for row in samples:
        where = f"{entry.url}: {row['key']}"
        if row["key"] not in places:
            yield Fault(where, "has a row and is not in the tar")
            continue
        place = places[row["key"]]
        whole.members = whole.members or tuple(place.members)
        if tuple(place.members) != whole.members:
            yield Fault(where, f"members are {' '.join(place.members)}, of others {' '.join(whole.members)}")
        if _offsets_differ(row, place):
            yield Fault(where, "the row's offsets are not those in the tar")
        members = read_members(tar, place)
        yield from (Fault(where, what) for what in _content_faults(row, members, decode=row["key"] in decoded))


def _offsets_differ(row: dict[str, Any], place: PackedSample) -> bool:
    try:
        return sample_of_row(row) != place
    except (ValueError, TypeError, AttributeError):
        return True


def _content_faults(row: dict[str, Any], members: dict[str, bytes], *, decode: bool) -> Iterator[str]:
    missing = [name for name in ("mp4", "txt", "json") if name not in members]
    if missing:
        yield f"has no {', '.join(missing)}"
        return
    try:
        sample = SampleJson.model_validate_json(members["json"], strict=True)
        _read_lists(sample)
    except ValidationError as error:
        first = error.errors()[0]
        yield f"json: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        return
    except (ValueError, TypeError, KeyError) as error:
        yield f"json: a list in it cannot be read ({error!r})"
        return
    missing_keys = SampleJson.model_fields.keys() - json.loads(members["json"]).keys()
    if missing_keys:
        yield f"json: has no {', '.join(sorted(missing_keys))}"
    yield from _agreement_faults(row, sample, members)
    if decode:
        yield from media_faults(sample, members)


def _read_lists(sample: SampleJson) -> None:
    """Reads every field that is a list written as JSON. ValueError, TypeError or KeyError where one is no such list."""
    json.loads(sample.versions)
    [int(time_ms) for time_ms in json.loads(sample.scene_cuts)]
    [str(flag) for flag in json.loads(sample.flags)]
    [(word["text"], int(word["start_ms"]), int(word["end_ms"])) for word in json.loads(sample.words)]
    [(int(still["time_ms"]), int(still["offset"]), int(still["size"])) for still in json.loads(sample.stills)]


def _agreement_faults(row: dict[str, Any], sample: SampleJson, members: dict[str, bytes]) -> Iterator[str]:
    for name in ("clip_id", "video_id", "channel_id", "category_id", "start_ms", "end_ms", "duration_ms", "url"):
        if row[name] != getattr(sample, name):
            yield f"{name} is {getattr(sample, name)!r} in the json, {row[name]!r} in the row"
    video_id, _, number = row["key"].rpartition("_")
    if sample.clip_id != clip_id(video_id, int(number) if number.isdigit() else -1):
        yield f"key does not belong to clip {sample.clip_id}"
    if not members["txt"].decode("utf-8", "replace") == sample.text == row["caption"]:
        yield "txt, the json's text and the row's caption are not the same"
    if sample.duration_ms <= 0 or sample.end_ms <= sample.start_ms:
        yield f"lasts {sample.duration_ms} ms"
    if sample.n_frames <= 0 or sample.first_frame < 0 or sample.offset_ms < 0:
        yield "first_frame, n_frames or offset_ms are out of range"

"""Reads through one shard: its tar, its rows, its stats and every sample in it."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from pydantic import ValidationError

from manifests.errors import UserError, printable
from manifests.hashing import hash_name
from manifests.rows import ShardRow
from manifests.sample import SampleJson, clip_id, read_sample
from manifests.shards import ShardEntry
from manifests.wrong_value import first_fault
from pipeline.engine.store.store import Store
from pipeline.media.packs import PackedSample, index_pack, read_members
from pipeline.media.sample_faults import image_faults, media_faults
from pipeline.outdir.sayings import kept_out
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.files import SUCCESS, entry_of, read_rows, sample_of_row, shard_files

MOST_MEMBER_BYTES = 256 * 1024**2
MOST_BYTES = {"json": 16 * 1024**2, "txt": 1024**2}
"""Members with a larger stated size are not read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong: where (a file, or a sample in it) and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.what}")


@dataclass(slots=True)
class ShardReport:
    """A shard's faults, and what has to be compared with other shards."""

    faults: list[Fault] = field(default_factory=list)
    samples: list[tuple[str, str, str]] = field(default_factory=list)
    """(key, video id, channel id) of each row with a sample."""
    members: tuple[str, ...] = ()
    """The members of its first sample."""
    of_images: bool = False


def read_shard(
    store: Store, entry: ShardEntry, *, tombstones: Tombstones, decode: int, of_images: bool = False
) -> ShardReport:
    """Checks a shard. `decode`: how many of its samples to decode, -1 for all.

    `of_images`: its samples are pictures with captions, not clips.
    """
    report = ShardReport(of_images=of_images)
    report.faults.extend(_shard_faults(store, entry, tombstones, decode, report))
    return report


def _shard_faults(
    store: Store, entry: ShardEntry, tombstones: Tombstones, decode: int, report: ShardReport
) -> Iterator[Fault]:
    missing = [name for name in shard_files(entry.url) if not store.exists(name)]
    if missing:
        yield from (Fault(name, "is missing") for name in missing)
        return
    with tempfile.TemporaryFile() as copy:
        sha256, md5, size = _copy_and_hash(store, entry.url, copy)
        facts = (("size", size, entry.bytes_), ("sha256", sha256, entry.sha256), ("md5", md5, entry.md5))
        for what, measured, wanted in facts:
            if measured != wanted:
                yield Fault(entry.url, f"{what} is {measured}, the manifest says {wanted}")
        try:
            table = read_rows(store, entry.url)
        except UserError as error:
            yield Fault(shard_files(entry.url)[1], str(error))
            return
        counted = entry_of(table, entry.url, entry.split, entry.generation, entry.sha256, entry.md5, entry.bytes_)
        rows = table.to_pylist()
        yield from _count_faults(entry, counted)
        yield from _stats_faults(store, entry, len(rows))
        yield from _removal_faults(entry, rows, tombstones)
        samples = [row for row in rows if row["status"] == SUCCESS]
        report.samples = [(row["key"], row["video_id"], row["channel_id"]) for row in samples]
        yield from _tar_faults(entry, samples, copy, decode, report)


def _copy_and_hash(store: Store, url: str, copy: BinaryIO) -> tuple[str, str, int]:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with store.open(url) as file:
        while block := file.read(1 << 22):
            sha256.update(block)
            md5.update(block)
            copy.write(block)
            size += len(block)
    return sha256.hexdigest(), md5.hexdigest(), size


def _count_faults(entry: ShardEntry, counted: ShardEntry) -> Iterator[Fault]:
    for name in ("nsamples", "hours", "categories"):
        measured, wanted = getattr(counted, name), getattr(entry, name)
        if measured != wanted:
            yield Fault(shard_files(entry.url)[1], f"{name} is {measured}, the manifest says {wanted}")


def _stats_faults(store: Store, entry: ShardEntry, n_rows: int) -> Iterator[Fault]:
    name = shard_files(entry.url)[2]
    try:
        stats = store.read_json(name)
        recorded = (stats["count"], stats["successes"], stats["shard"]["sha256"])
    except (ValueError, KeyError, TypeError):
        yield Fault(name, "is not a shard's stats file")
        return
    if recorded != (n_rows, entry.nsamples, entry.sha256):
        yield Fault(
            name, f"count, successes, sha256 are {recorded}, should be {(n_rows, entry.nsamples, entry.sha256)}"
        )


def _removal_faults(entry: ShardEntry, rows: list[ShardRow], tombstones: Tombstones) -> Iterator[Fault]:
    is_out = kept_out(tombstones)
    for row in rows:
        if is_out(row):
            where = f"{entry.url}: {row['key']}"
            yield Fault(where, "was removed (tombstones.txt) but is still here; run the same `remove` again")


def _tar_faults(
    entry: ShardEntry, samples: list[ShardRow], tar: BinaryIO, decode: int, report: ShardReport
) -> Iterator[Fault]:
    try:
        in_tar = {sample.key: sample for sample in index_pack(tar)}
    except UserError as error:
        yield Fault(entry.url, f"is not a complete tar of samples ({error})")
        return
    for key in sorted(in_tar.keys() - {row["key"] for row in samples}):
        yield Fault(f"{entry.url}: {key}", "is in the tar but has no row")
    by_chance = sorted(samples, key=lambda row: hash_name(0, "verify", row["key"]))
    decoded = {row["key"] for row in (by_chance if decode < 0 else by_chance[:decode])}
    for row in samples:
        where = f"{entry.url}: {row['key']}"
        if row["key"] not in in_tar:
            yield Fault(where, "has a row but is not in the tar")
            continue
        packed = in_tar[row["key"]]
        report.members = report.members or tuple(packed.members)
        if tuple(packed.members) != report.members:
            yield Fault(
                where, f"members are {' '.join(packed.members)}, those of other samples {' '.join(report.members)}"
            )
        if _offsets_differ(row, packed):
            yield Fault(where, "the row's offsets are not those in the tar")
        faults = _picture_faults if report.of_images else _sample_faults
        yield from (Fault(where, what) for what in faults(row, packed, tar, decode=row["key"] in decoded))


def _offsets_differ(row: ShardRow, packed: PackedSample) -> bool:
    try:
        return sample_of_row(row) != packed
    except (ValueError, TypeError, AttributeError):
        return True


def _members_of(tar: BinaryIO, packed: PackedSample) -> dict[str, bytes] | str:
    """A sample's members, or why they are not read: a member is too large, or the tar is damaged there."""
    if large := [name for name, (_, size) in packed.members.items() if size > MOST_BYTES.get(name, MOST_MEMBER_BYTES)]:
        return f"{', '.join(large)}: larger than a member may be"
    try:
        return read_members(tar, packed)
    except UserError as error:
        return str(error)


def _picture_faults(row: ShardRow, packed: PackedSample, tar: BinaryIO, *, decode: bool) -> Iterator[str]:
    members = _members_of(tar, packed)
    if isinstance(members, str):
        yield members
        return
    yield from image_faults(row, members, decode=decode)


def _sample_faults(row: ShardRow, packed: PackedSample, tar: BinaryIO, *, decode: bool) -> Iterator[str]:
    members = _members_of(tar, packed)
    if isinstance(members, str):
        yield members
        return
    missing = [name for name in ("mp4", "txt", "json") if name not in members]
    if missing:
        yield f"has no {', '.join(missing)}"
        return
    try:
        sample = read_sample(members["json"])
        _read_lists(sample)
    except ValidationError as error:
        yield f"json: {first_fault(SampleJson, error)}"
        return
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        yield f"json: a list in it cannot be read ({error!r:.200})"
        return
    missing_keys = SampleJson.model_fields.keys() - json.loads(members["json"]).keys()
    if missing_keys:
        yield f"json: has no {', '.join(sorted(missing_keys))}"
    yield from _agreement_faults(row, sample, members)
    if decode:
        yield from media_faults(sample, members)


def _read_lists(sample: SampleJson) -> None:
    """Reads every field that is a list written as JSON. Raises ValueError, TypeError or KeyError if a field is not."""
    json.loads(sample.versions)
    [int(time_ms) for time_ms in json.loads(sample.scene_cuts)]
    [(int(start_ms), int(end_ms)) for start_ms, end_ms in json.loads(sample.scene_spans)]
    [str(flag) for flag in json.loads(sample.flags)]
    [(word["text"], int(word["start_ms"]), int(word["end_ms"])) for word in json.loads(sample.words)]
    for still in json.loads(sample.stills):
        for name in ("frame", "time_ms", "offset", "size"):
            if type(still[name]) is not int or still[name] < 0:
                raise ValueError(f"stills: {name} is {still[name]!r}")


def _agreement_faults(row: ShardRow, sample: SampleJson, members: dict[str, bytes]) -> Iterator[str]:
    for name in ("clip_id", "video_id", "channel_id", "category_id", "start_ms", "end_ms", "duration_ms", "url"):
        if row[name] != getattr(sample, name):
            yield f"{name} is {getattr(sample, name)!r} in the json, {row[name]!r} in the row"
    video_id, _, number = row["key"].rpartition("_")
    if sample.clip_id != clip_id(
        video_id, int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
    ):
        yield f"key does not belong to clip {sample.clip_id}"
    if not members["txt"].decode("utf-8", "replace") == sample.text == row["caption"]:
        yield "txt, the json's text and the row's caption are not the same"
    if sample.duration_ms <= 0 or sample.end_ms <= sample.start_ms:
        yield f"lasts {sample.duration_ms} ms"
    if sample.n_frames <= 0 or sample.first_frame < 0 or sample.offset_ms < 0:
        yield "first_frame, n_frames or offset_ms are out of range"

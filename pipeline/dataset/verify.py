"""Reads through a finished data set and reports each fault.

Each shard is read once, independently (`pipeline.dataset.verify_shard`), by as many processes as requested. This module
checks the manifest, the indexes, and what must hold across shards.

    checksums         sha256, md5 and size against manifest.parquet; indexes against the manifest
    structure         the tar's own headers against the rows' offsets; each sample's members complete
    content           json against the schema and against rows, txt and caption the same, stills where the json says
    decoding          all frames of mp4 and m4v, each still; of some samples of each shard, or of all
    counts            rows, stats and manifest agree; keys unique; nothing that tombstones.txt names
    splits            a video in one split; a channel too, where the configuration says so
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from manifests.errors import UserError
from manifests.image_sample import IMAGE_KIND
from manifests.sample_index import entries_in
from manifests.shards import (
    MANIFEST_NAME,
    TOMBSTONES,
    Manifest,
    ShardEntry,
    read_manifest,
    sizes_bytes,
    wids_bytes,
)
from pipeline.dataset.verify_shard import Fault, ShardReport, read_shard
from pipeline.engine.run.progress import counted
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones, read_tombstones
from pipeline.shards.manifest import CARD_NAME, SIZES_NAME, WIDS_NAME, split_indexes, stray_files
from pipeline.shards.sample_index import make_indexes

LOOKS, LOOK_EVERY_S = 5, 1.0
"""How often, and how many seconds apart, differing indexes are read again while a run is in progress."""


def verify(store: Store, *, decode: int = 2, workers: int = 1) -> Iterator[Fault]:
    """Yields every fault of the data set, shard by shard. `decode`: samples of each shard to decode, -1 for all.

    While a run adds to the data set, the check follows what it publishes, and shards not listed yet are not a fault.
    Raises UserError only if there is no manifest at all; a manifest that cannot be used is a fault and ends the check.
    """
    try:
        manifest = read_manifest(store.url, **dict(store.options))
    except UserError as error:
        if not store.exists(MANIFEST_NAME):
            raise
        yield Fault(MANIFEST_NAME, str(error))
        return
    try:
        tombstones = read_tombstones(store)
    except UserError as error:
        yield Fault(TOMBSTONES, str(error))
        tombstones = Tombstones()
    if tombstones.under_way:
        yield Fault(TOMBSTONES, "a removal was interrupted; run the same `remove` again")
    manifest, faults = _of_all_shards(store, manifest)
    yield from faults
    whole = _Whole(by_channel=manifest.head.get("config", {}).get("shards.split.by") == "channel")
    of_images = manifest.head.get("kind") == IMAGE_KIND
    read = partial(read_shard, store, tombstones=tombstones, decode=decode, of_images=of_images)
    reports = counted(_map(read, manifest.shards, workers), len(manifest.shards), "verify")
    for entry, report in zip(manifest.shards, reports, strict=True):
        yield from report.faults
        yield from whole.add(entry, report)


def _of_all_shards(store: Store, manifest: Manifest) -> tuple[Manifest, list[Fault]]:
    """Finds faults of indexes and folders; also returns the manifest that they were compared with.

    A run in progress publishes indexes first and their manifest a moment later: what differs is read again.
    """
    for look in range(LOOKS):
        run = read_run_status(store)
        is_growing = run is not None and run.is_alive(time.time())
        faults = list(_index_faults(store, manifest))
        if not is_growing:
            return manifest, [*faults, *_stray_faults(store, manifest)]
        if not faults:
            break
        if look + 1 < LOOKS:
            time.sleep(LOOK_EVERY_S)
            manifest = read_manifest(store.url, **dict(store.options))
    return manifest, faults


def _map(read: partial[ShardReport], entries: tuple[ShardEntry, ...], workers: int) -> Iterator[ShardReport]:
    if workers <= 1:
        yield from map(read, entries)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(read, entries)


def _stray_faults(store: Store, manifest: Manifest) -> list[Fault]:
    said = "not listed in the manifest, but readers that glob *.tar will load it"
    return [Fault(name, said) for name in stray_files(store, manifest) if name.endswith(".tar")]


def _index_faults(store: Store, manifest: Manifest) -> Iterator[Fault]:
    for path, is_right in _beside_shards(manifest).items():
        try:
            if not is_right(store.read(path)):
                yield Fault(path, "differs from the manifest; restore it from a copy")
        except FileNotFoundError:
            yield Fault(path, "is missing; restore it from a copy")
    yield from _sample_index_faults(store, manifest)
    urls = [entry.url for entry in manifest.shards]
    yield from (
        Fault("manifest.parquet", f"{url} is listed twice") for url in sorted({u for u in urls if urls.count(u) > 1})
    )


def _beside_shards(manifest: Manifest) -> dict[str, Callable[[bytes], bool]]:
    """{file that follows from the manifest and its shards: whether its content is right}."""
    name = str(manifest.head.get("name", ""))
    derived = {
        WIDS_NAME: wids_bytes(manifest.shards, name=name),
        SIZES_NAME: sizes_bytes(manifest.shards),
        **split_indexes(manifest.shards, name=name),
    }
    files: dict[str, Callable[[bytes], bool]] = {path: data.__eq__ for path, data in derived.items()}
    files[CARD_NAME] = lambda data: True  # a person's to edit
    for path, index in sorted(entries_in(manifest.head).items()):
        files[path] = partial(_has_sha256, index["sha256"])
    return files


def _has_sha256(digits: str, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == digits


def _sample_index_faults(store: Store, manifest: Manifest) -> Iterator[Fault]:
    """Checks that the manifest's entries of the trainer's index files match the rows."""
    named = entries_in(manifest.head)
    try:
        with TemporaryDirectory() as folder:
            made = entries_in({"index": make_indexes(store, manifest.shards, Path(folder))})
    except (UserError, ValueError, KeyError, TypeError):
        return  # rows that can't be read are reported with their shard
    yield from (Fault(url, "does not match the rows") for url, entry in named.items() if made.get(url) != entry)


@dataclass(slots=True)
class _Whole:
    """What is known of the data set so far."""

    by_channel: bool
    keys: dict[str, str] = field(default_factory=dict)
    """The shard of each sample's key."""
    members: tuple[str, ...] = ()
    splits: dict[tuple[str, str], str] = field(default_factory=dict)
    """The split of ("video", id) and ("channel", id)."""

    def add(self, entry: ShardEntry, report: ShardReport) -> Iterator[Fault]:
        """Adds a shard; yields its conflicts with earlier shards."""
        self.members = self.members or report.members
        if report.members and report.members != self.members:
            yield Fault(entry.url, f"members are {' '.join(report.members)}, of others {' '.join(self.members)}")
        for key, video_id, channel_id in report.samples:
            first = self.keys.setdefault(key, entry.url)
            if first != entry.url:
                yield Fault(f"{entry.url}: {key}", f"key is also in {first}")
            yield from self._split_faults(entry, key, ("video", video_id))
            if self.by_channel and channel_id:
                yield from self._split_faults(entry, key, ("channel", channel_id))

    def _split_faults(self, entry: ShardEntry, key: str, what: tuple[str, str]) -> Iterator[Fault]:
        split = self.splits.setdefault(what, entry.split)
        if split != entry.split:
            yield Fault(f"{entry.url}: {key}", f"its {what[0]} {what[1]} is also in split {split}")

"""Merges data sets into a new data set: their shards are copied byte for byte and renumbered.

A video that is in two of them, or a channel that is held out in one but not in another, is refused by name, or
dropped from the later data set (`drop_duplicates`). Data sets that are split by video guarantee nothing about channels,
so channels are not compared for them. Tombstones of all are respected and joined.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from manifests.errors import DamagedFile, UserError
from manifests.lock import RunLock
from manifests.schema import SHARD_ROWS, table_of
from manifests.shards import Manifest, ShardEntry, read_manifest
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.media.packs import index_pack
from pipeline.media.versions import tool_versions
from pipeline.outdir.sayings import kept_out
from pipeline.outdir.tombstones import Tombstones, read_tombstones, refuse_while_under_way, write_tombstones
from pipeline.report.page import write_first_report
from pipeline.shards import files
from pipeline.shards.manifest import given_head, publish, refuse_existing

SPLIT_BY = "shards.split.by"
_SHOWN = 10


@dataclass(slots=True)
class _Seen:
    """What the data sets taken so far contain."""

    videos: dict[str, int] = field(default_factory=dict)
    """The number of the data set that has a video."""
    channels: dict[str, str] = field(default_factory=dict)
    """The split of each channel."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The new manifest, and the ids of videos left out of later data sets."""

    manifest: Manifest
    dropped: tuple[str, ...]


def merge(sources: Sequence[Store], out: Store, *, drop_duplicates: bool = False) -> Merged:
    """Merges finished data sets. Raises UserError for repeated videos, different members, or an `out` in use."""
    manifests = [read_manifest(source.url, **dict(source.options)) for source in sources]
    _refuse_different_members(manifests)
    refuse_existing(out)
    tombstones = Tombstones()
    for source in sources:
        refuse_while_under_way(source, read_tombstones(source))
        tombstones = tombstones.joined(read_tombstones(source))
    dropped = _conflicts(sources, manifests, tombstones)
    if dropped and not drop_duplicates:
        raise UserError(_refusal(sources, dropped))
    with RunLock(out):
        write_tombstones(out, tombstones)
        entries = list(_copy_all(sources, manifests, out, dropped, tombstones))
        head, card = given_head(manifests[0].head)
        head = _shared(head, [given_head(manifest.head)[0] for manifest in manifests])
        head |= {"name": manifests[0].head["name"], "config": _shared_config(manifests), "versions": tool_versions()}
        head["merged"] = [{"name": str(m.head.get("name", "")), "sha256": m.sha256} for m in manifests]
        manifest = publish(out, entries, head, card)
        write_first_report(out)
    return Merged(manifest, tuple(sorted({video_id for _, video_id in dropped})))


def _shared(first: Mapping[str, Any], all_of_them: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is the same in all: what one data set says of itself need not be true of the others' clips."""
    return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in all_of_them)}


def _shared_config(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """The settings that all were made with. Where one is split by video, so is the result: channels are in several
    splits.
    """
    configs = [manifest.head.get("config", {}) for manifest in manifests]
    is_by_video = any(config.get(SPLIT_BY) == "video" for config in configs)
    return _shared(configs[0], configs) | ({SPLIT_BY: "video"} if is_by_video else {})


def _refuse_different_members(manifests: Sequence[Manifest]) -> None:
    members_of = {m.root: list(m.head.get("members", [])) for m in manifests if any(it.nsamples for it in m.shards)}
    if len({tuple(members) for members in members_of.values()}) > 1:
        shown = "; ".join(f"{root}: {' '.join(members)}" for root, members in members_of.items())
        raise UserError(f"samples have different members ({shown}); every sample of a data set must have the same")


def _conflicts(
    sources: Sequence[Store], manifests: Sequence[Manifest], tombstones: Tombstones
) -> dict[tuple[int, str], str]:
    """{(number of the data set, video id): reason} for videos that cannot be taken over."""
    seen = _Seen()
    conflicts: dict[tuple[int, str], str] = {}
    for number, (source, manifest) in enumerate(zip(sources, manifests, strict=True)):
        by_channel = manifest.head.get("config", {}).get(SPLIT_BY, "channel") == "channel"
        for entry in manifest.shards:
            table = files.read_rows(source, entry.url, ["video_id", "channel_id", "status", "url"])
            for row in table.to_pylist():
                video_id, channel_id = row["video_id"], row["channel_id"]
                if row["status"] != files.SUCCESS or tombstones.cover(video_id, channel_id, row["url"]):
                    continue
                split = seen.channels.get(channel_id, entry.split) if channel_id and by_channel else entry.split
                if seen.videos.get(video_id, number) != number:
                    conflicts[number, video_id] = f"also in {sources[seen.videos[video_id]].url}"
                elif split != entry.split and number:
                    conflicts[number, video_id] = f"its channel {channel_id} is in split {split} of an earlier one"
                else:
                    seen.videos[video_id] = number
                    if by_channel:
                        seen.channels.setdefault(channel_id, entry.split)
    return conflicts


def _refusal(sources: Sequence[Store], dropped: dict[tuple[int, str], str]) -> str:
    lines = [f"{sources[number].url}: {video_id}: {why}" for (number, video_id), why in sorted(dropped.items())]
    more = f"\n  … and {len(lines) - _SHOWN} more" * (len(lines) > _SHOWN)
    return (
        f"{len(lines)} videos cannot be merged:\n  " + "\n  ".join(lines[:_SHOWN]) + more + "\n"
        "--drop-duplicates leaves them out of the later data set"
    )


def _copy_all(
    sources: Sequence[Store],
    manifests: Sequence[Manifest],
    out: Store,
    dropped: dict[tuple[int, str], str],
    tombstones: Tombstones,
) -> Iterator[ShardEntry]:
    numbers: Counter[str] = Counter()
    shards = [(number, entry) for number, manifest in enumerate(manifests) for entry in manifest.shards]
    for number, entry in counted(shards, len(shards), "merge"):
        gone = {video_id for n, video_id in dropped if n == number}
        target = replace(entry, url=f"shards/{entry.split}/{numbers[entry.split]:05d}.tar", generation=0)
        made = _copy_shard(sources[number], entry, out, target, gone, tombstones)
        if made.nsamples:
            numbers[entry.split] += 1
            yield made


def _copy_shard(
    source: Store, entry: ShardEntry, out: Store, target: ShardEntry, gone: set[str], tombstones: Tombstones
) -> ShardEntry:
    """Puts a shard, or what is to be kept of it, under the target's url; what a manifest claims is counted again."""
    pieces, is_out = files.pieces_of(source, entry), kept_out(tombstones)
    kept = [p for p in pieces if p.row["video_id"] not in gone and not is_out(p.row)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if len(kept) == len(pieces):
            tar, parquet, stats = (folder / Path(name).name for name in files.shard_files(target.url))
            md5 = _download(source, entry, tar)
            refuse_other_rows(tar, pieces, f"{source.url}/{entry.url}")
            parquet.write_bytes(source.read(files.shard_files(entry.url)[1]))
            table, n_bytes = table_of([piece.row for piece in pieces], SHARD_ROWS), tar.stat().st_size
            made = files.entry_of(table, target.url, target.split, target.generation, entry.sha256, md5, n_bytes)
            stats.write_bytes(files.stats_bytes(made, table))
        else:
            made = files.join_shard(kept, folder, url=target.url, split=target.split, generation=target.generation)
        if made.nsamples:
            files.put_shard(out, folder, target.url)
    return made


def refuse_other_rows(tar: Path, pieces: Sequence[files.Piece], where: str) -> None:
    """Raises DamagedFile if a tar does not have exactly the samples of its rows, at their offsets."""
    with tar.open("rb") as file:
        try:
            there = {sample.key: sample for sample in index_pack(file)}
        except UserError as error:
            raise DamagedFile(str(error).replace(str(tar), where)) from None  # the copy is gone when it is read
    named = {piece.row["key"]: piece.sample for piece in pieces if piece.sample}
    for key in sorted(there.keys() | named.keys()):
        if there.get(key) != named.get(key):
            raise DamagedFile(f"{where}: {key!r}: the tar and its rows do not agree; `verify` it, restore it")


def _download(source: Store, entry: ShardEntry, target: Path) -> str:
    """Copies a tar and compares it with the manifest's checksum; returns its md5. UserError if they differ."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with source.open(entry.url) as file, target.open("wb") as out:
        while block := file.read(1 << 22):
            sha256.update(block)
            md5.update(block)
            out.write(block)
    if sha256.hexdigest() != entry.sha256:
        raise UserError(f"{source.url}/{entry.url}: differs from its manifest (checksum); `verify` it, restore it")
    return md5.hexdigest()

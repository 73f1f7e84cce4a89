"""Removal of videos and channels from a finished data set.

1. tombstones.txt names them, so that no later run brings them back.
2. Each shard that holds them is written anew without them, under its own name and file by file.
3. Their packs are deleted.
4. The manifest is written anew and names the one before as its parent; the report too, which shows samples.

Killed anywhere, the same command finishes the work: what a shard holds is read from the tar itself, never from rows
that may be those of the tar before. A shard that held nothing else stays as an empty tar, so that numbers have no gap.
The crawl's tables keep their rows, titles and captions among them: the record that a video was seen, not for others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from manifests.shards import MANIFEST_NAME, TABLE_NAME, ShardEntry, manifest_bytes
from pipeline.engine.lock import RunLock
from pipeline.engine.store import Store
from pipeline.media.packs import index_pack
from pipeline.outdir.tombstones import Tombstones, read_tombstones, write_tombstones
from pipeline.report.page import write_report
from pipeline.report.summary import REPORT_NAME
from pipeline.shards.files import SUCCESS, Piece, join_shard, put_shard, read_rows
from pipeline.shards.manifest import given_head, publish
from pipeline.shards.stage import committed_shards, read_entries


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did. `unknown` ids are in no shard and no table; they are kept out all the same."""

    n_samples: int
    n_shards: int
    n_packs: int
    unknown: tuple[str, ...]


def parse_ids(lines: Iterable[str], known_channels: Iterable[str]) -> Tombstones:
    """The ids in a text: one a line, `#` starts a comment. `video ID` and `channel ID` say which; a bare id is a
    channel's where the data set has such a channel or it looks like one (`UC` and 22 characters), else a video's.
    """
    channels = set(known_channels)
    found: dict[str, set[str]] = {"video": set(), "channel": set()}
    for line in lines:
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) == 2 and words[0] in found:
            found[words[0]].add(words[1])
        elif len(words) == 1:
            is_channel = words[0] in channels or (words[0].startswith("UC") and len(words[0]) == 24)
            found["channel" if is_channel else "video"].add(words[0])
        else:
            raise UserError(f"{line.strip()!r}: write one id a line, or `video ID`, or `channel ID`")
    return Tombstones(frozenset(found["video"]), frozenset(found["channel"]))


def known_ids(store: Store) -> tuple[set[str], set[str]]:
    """(video ids, channel ids) that the data set's shards and tables name."""
    tables = [read_rows(store, e.url, ["video_id", "channel_id"]) for e in read_entries(store)]
    tables.append(store.read_table("videos", ["video_id", "channel_id"]))
    videos = {i for table in tables for i in table["video_id"].to_pylist()}
    return videos, {i for table in tables for i in table["channel_id"].to_pylist()}


def remove(store: Store, ids: Tombstones) -> Removal:
    """Removes videos and channels. Raises UserError where another run holds the directory or a shard is damaged."""
    with RunLock(store):
        videos, channels = known_ids(store)
        unknown = tuple(sorted((ids.videos - videos) | (ids.channels - channels)))
        tombstones = read_tombstones(store).joined(ids)
        write_tombstones(store, tombstones.joined(Tombstones(under_way=True)))
        n_samples, n_shards = _remove_from_shards(store, tombstones)
        n_packs = _remove_packs_of(store, tombstones)
        if store.exists(REPORT_NAME):
            write_report(store)
        write_tombstones(store, Tombstones(tombstones.videos, tombstones.channels))
        return Removal(n_samples, n_shards, n_packs, unknown)


def _remove_from_shards(store: Store, tombstones: Tombstones) -> tuple[int, int]:
    closed = read_entries(store)
    entries = [_without(store, entry, tombstones) for entry in closed]
    opened = committed_shards(store, but={entry.url for entry in closed})
    for unit, entry in opened.items():
        rewritten = _without(store, entry, tombstones)
        store.commit("shards", unit, {**store.commit_facts("shards", unit), "shard": rewritten.row()})
        entries.append(rewritten)
    before = [*closed, *opened.values()]
    if closed:
        _write_manifest_anew(store, entries[: len(closed)])
    n_samples = sum(entry.nsamples for entry in before) - sum(entry.nsamples for entry in entries)
    return n_samples, sum(a != b for a, b in zip(before, entries, strict=True))


def _write_manifest_anew(store: Store, entries: list[ShardEntry]) -> None:
    if store.exists(MANIFEST_NAME):
        head, card = given_head(store.read_json(MANIFEST_NAME))
        publish(store, entries, head, card)
    else:  # a run was killed between the two files; it will write the other one when it goes on
        store.write(TABLE_NAME, manifest_bytes(entries, {})[1])


def _without(store: Store, entry: ShardEntry, tombstones: Tombstones) -> ShardEntry:
    table = read_rows(store, entry.url, ["video_id", "channel_id"])
    names = zip(table["video_id"].to_pylist(), table["channel_id"].to_pylist(), strict=True)
    if store.size(entry.url) == entry.bytes_ and not any(tombstones.cover(v, c) for v, c in names):
        return entry
    return rewrite_shard(store, entry, lambda row: not tombstones.cover(row["video_id"], row["channel_id"]))


def rewrite_shard(store: Store, entry: ShardEntry, keep: Callable[[dict[str, Any]], bool]) -> ShardEntry:
    """Writes a shard anew with those of its rows that `keep` takes; samples are copied byte for byte."""
    with store.open(entry.url) as file:
        places = {sample.key: sample for sample in index_pack(file)}  # type: ignore[arg-type]
    pieces = []
    for row in read_rows(store, entry.url).to_pylist():
        if not keep(row):
            continue
        if row["status"] != SUCCESS:
            pieces.append(Piece(row))
        elif row["key"] in places:
            pieces.append(Piece(row, store, entry.url, places[row["key"]]))
        else:
            raise UserError(f"{store.url}/{entry.url}: {row['key']} is missing in the tar; restore the shard first")
    with tempfile.TemporaryDirectory() as folder:
        done = join_shard(pieces, Path(folder), url=entry.url, split=entry.split, generation=entry.generation)
        put_shard(store, Path(folder), entry.url)
    return done


def _remove_packs_of(store: Store, tombstones: Tombstones) -> int:
    present = set(store.names("packs"))
    table = store.read_table("packs", ["video_id", "channel_id", "pack"])
    rows = {(row["video_id"], row["channel_id"], row["pack"]) for row in table.to_pylist()}
    gone = {p for v, c, p in rows if tombstones.cover(v, c) and p.rpartition("/")[2] in present}
    for pack in sorted(gone):
        store.delete(pack)
    return len(gone)

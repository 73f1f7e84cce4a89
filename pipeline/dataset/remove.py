"""Removes videos and channels from a finished data set.

1. tombstones.txt lists them, so that no later run brings them back.
2. Each shard that contains them is rewritten without them, under its own name and file by file.
3. Their packs are deleted.
4. With `purge`, what the crawl's tables know of them is erased except their ids (pipeline/dataset/purge.py); without,
   it stays, as the record that a video was seen, which is not for others.
5. The manifest is rewritten and names the one before as its parent; the report too, which shows samples.
6. removals/<date>-<hash>.json lists the removed ids and keys, for copies, exports and merges that are elsewhere.

If it is killed anywhere, the same command finishes the work: a shard's contents are read from the tar itself, never
from rows that may belong to the previous tar. A shard without anything else stays as an empty tar, so that numbers have
no gap.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests.errors import DamagedFile, UserError
from manifests.origin import is_site_id, origin_of
from manifests.rows import ShardRow
from manifests.shards import MANIFEST_NAME, TABLE_NAME, ShardEntry, head_of, manifest_bytes
from pipeline.dataset.purge import purge as purge_tables
from pipeline.engine.lock import RunLock
from pipeline.engine.progress import counted
from pipeline.engine.store import Store
from pipeline.media.packs import index_pack
from pipeline.outdir.tombstones import RECORDS, Tombstones, covers, read_tombstones, write_tombstones
from pipeline.report.page import has_audit, write_report
from pipeline.report.summary import REPORT_NAME
from pipeline.shards.files import SUCCESS, Piece, join_shard, put_shard, read_rows
from pipeline.shards.manifest import forget_published, given_head, publish
from pipeline.shards.stage import committed_shards, read_entries


@dataclass(frozen=True, slots=True)
class Removal:
    """The result of a removal. `unknown` ids are in no shard and no table; they are kept out all the same."""

    n_samples: int
    n_shards: int
    n_packs: int
    unknown: tuple[str, ...]
    videos: tuple[str, ...] = ()
    """Ids of the videos here that the given ids cover."""
    n_purged: int = 0
    """Number of table rows that were emptied."""
    record: str = ""
    """Path of the list of ids and keys; "" if nothing was removed."""


def parse_ids(lines: Iterable[str], known_channels: Iterable[str]) -> Tombstones:
    """Parses the ids in a text: one per line, `#` starts a comment.

    `video ID` and `channel ID` say which; a bare id is a channel's if the data set has such a channel or it looks like
    one (`UC` and 22 characters), else a video's. A URL stands for its video, by its id at the site if that is known.
    """
    channels = set(known_channels)
    found: dict[str, set[str]] = {"video": set(), "channel": set(), "url": set()}
    for line in lines:
        words = line.partition(" #")[0].split() if "://" in line else line.partition("#")[0].split()
        if not words:
            continue
        if "://" in words[-1]:
            origin = origin_of(words[-1])
            found["video" if is_site_id(origin) else "url"].add(origin)
        elif len(words) == 2 and words[0] in found:
            found[words[0]].add(words[1])
        elif len(words) == 1:
            is_channel = words[0] in channels or (words[0].startswith("UC") and len(words[0]) == 24)
            found["channel" if is_channel else "video"].add(words[0])
        else:
            raise UserError(f"{line.strip()!r}: write one id or address a line, or `video ID`, or `channel ID`")
    return Tombstones(frozenset(found["video"]), frozenset(found["channel"]), urls=frozenset(found["url"]))


@dataclass(frozen=True, slots=True)
class Known:
    """What an output directory knows: (video id, channel id, url) of every video in its shards and tables."""

    rows: frozenset[tuple[str, str, str]]

    @property
    def channels(self) -> set[str]:
        """Channel ids."""
        return {channel_id for _, channel_id, _ in self.rows}

    def unknown(self, ids: Tombstones) -> tuple[str, ...]:
        """The given ids, channels and URLs that match nothing here, sorted."""
        named = {video_id for video_id, _, _ in self.rows} | {origin_of(url) for _, _, url in self.rows}
        return tuple(sorted((ids.videos - named) | (ids.channels - self.channels) | (ids.urls - named)))

    def covered(self, ids: Tombstones) -> tuple[str, ...]:
        """The ids of the videos that are covered, sorted."""
        return tuple(sorted({row[0] for row in self.rows if ids.cover(*row)}))


def known(store: Store) -> Known:
    """Reads all videos that the shards and tables know; a mere listing, which has no URL, counts too."""
    columns = ["video_id", "channel_id", "url"]
    tables = [read_rows(store, e.url, columns) for e in read_entries(store)]
    tables.append(store.read_table("videos", columns))
    rows = {tuple(row) for table in tables for row in zip(*(table[c].to_pylist() for c in columns), strict=True)}
    listed = store.read_table("listings", columns[:2])
    rows |= {(i, channel, "") for i, channel in zip(*(listed[c].to_pylist() for c in columns[:2]), strict=True)}
    return Known(frozenset(rows))


def remove(store: Store, ids: Tombstones, *, purge: bool = False) -> Removal:
    """Removes videos and channels. Raises UserError if another run uses the directory or a shard is damaged."""
    with RunLock(store):
        if store.exists(MANIFEST_NAME):
            given_head(_head(store))  # refuses a manifest that cannot be rewritten before anything is removed
        found = known(store)
        meant = found.covered(ids)
        tombstones = read_tombstones(store).joined(ids)
        write_tombstones(store, tombstones.joined(Tombstones(under_way=True)))
        keys = _keys_of(store, meant)
        record = _write_record(store, ids, meant, keys, purged=purge) if keys or purge else ""
        n_samples, n_shards = _remove_from_shards(store, tombstones)
        n_packs = _remove_packs_of(store, set(meant) | set(found.covered(tombstones)))
        n_purged = purge_tables(store, meant) if purge else 0
        if (store.exists(REPORT_NAME) or store.exists(MANIFEST_NAME)) and has_audit(store):
            write_report(store)
        write_tombstones(store, replace(tombstones, under_way=False))
        return Removal(n_samples, n_shards, n_packs, found.unknown(ids), meant, n_purged, record)


def _keys_of(store: Store, video_ids: Iterable[str]) -> list[str]:
    """The keys of these videos' samples in the shards."""
    wanted = set(video_ids)
    tables = [read_rows(store, entry.url, ["video_id", "key", "status"]).to_pylist() for entry in read_entries(store)]
    rows = [row for table in tables for row in table if row["video_id"] in wanted and row["status"] == SUCCESS]
    return sorted(row["key"] for row in rows)


def _write_record(store: Store, ids: Tombstones, videos: Iterable[str], keys: list[str], *, purged: bool) -> str:
    """Writes what is removed, for those who have a copy: only ids and dates."""
    asked = {"videos": sorted(ids.videos), "channels": sorted(ids.channels), "urls": sorted(ids.urls)}
    today = datetime.now(UTC).date().isoformat()
    digest = hashlib.sha256(json.dumps([asked, purged, keys]).encode()).hexdigest()[:12]
    path = f"{RECORDS}/{today}-{digest}.json"
    facts = {"date": today, "asked": asked, "videos": sorted(videos), "keys": keys, "purged": purged}
    store.write_json(path, facts)
    return path


def _remove_from_shards(store: Store, tombstones: Tombstones) -> tuple[int, int]:
    closed = read_entries(store)
    entries = [_without(store, entry, tombstones) for entry in counted(closed, len(closed), "remove")]
    opened = committed_shards(store, but={entry.url for entry in closed})
    for unit, entry in opened.items():
        rewritten = _without(store, entry, tombstones)
        store.commit("shards", unit, {**store.commit_facts("shards", unit), "shard": rewritten.row()})
        entries.append(rewritten)
    before = [*closed, *opened.values()]
    if closed:
        _rewrite_manifest(store, entries[: len(closed)])
    n_samples = sum(entry.nsamples for entry in before) - sum(entry.nsamples for entry in entries)
    return n_samples, sum(a != b for a, b in zip(before, entries, strict=True))


def _head(store: Store) -> dict[str, Any]:
    """Reads manifest.json's keys. Raises UserError if they are not those of a manifest."""
    return head_of(store.read(MANIFEST_NAME), f"{store.url}/{MANIFEST_NAME}")


def _rewrite_manifest(store: Store, entries: list[ShardEntry]) -> None:
    if store.exists(MANIFEST_NAME):
        head, card = given_head(_head(store))
        publish(store, entries, head, card)
        forget_published(store)
    else:  # a run was killed between the two files; it will write the other one when it continues
        store.write(TABLE_NAME, manifest_bytes(entries, {})[1])


def _without(store: Store, entry: ShardEntry, tombstones: Tombstones) -> ShardEntry:
    rows = read_rows(store, entry.url, ["video_id", "channel_id", "url"]).to_pylist()
    if not store.exists(entry.url):
        raise DamagedFile(f"{store.url}/{entry.url}: no such file; restore it, `verify` names all that is missing")
    if store.size(entry.url) == entry.bytes_ and not any(covers(tombstones, row) for row in rows):
        return entry
    return rewrite_shard(store, entry, lambda row: not covers(tombstones, row))


def rewrite_shard(store: Store, entry: ShardEntry, keep: Callable[[ShardRow], bool]) -> ShardEntry:
    """Rewrites a shard with those of its rows that `keep` accepts; samples are copied byte for byte."""
    with store.open(entry.url) as file:
        in_tar = {sample.key: sample for sample in index_pack(file)}  # type: ignore[arg-type]
    pieces = []
    for row in read_rows(store, entry.url).to_pylist():
        if not keep(row):
            continue
        if row["status"] != SUCCESS:
            pieces.append(Piece(row))
        elif row["key"] in in_tar:
            pieces.append(Piece(row, store, entry.url, in_tar[row["key"]]))
        else:
            raise UserError(f"{store.url}/{entry.url}: {row['key']} is missing in the tar; restore the shard first")
    with tempfile.TemporaryDirectory() as folder:
        done = join_shard(pieces, Path(folder), url=entry.url, split=entry.split, generation=entry.generation)
        put_shard(store, Path(folder), entry.url)
    return done


def _remove_packs_of(store: Store, video_ids: set[str]) -> int:
    present = set(store.names("packs"))
    rows = {(row["video_id"], row["pack"]) for row in store.read_table("packs", ["video_id", "pack"]).to_pylist()}
    gone = {pack for video_id, pack in rows if video_id in video_ids and pack.rpartition("/")[2] in present}
    for pack in sorted(gone):
        store.delete(pack)
    return len(gone)

"""Removes videos, channels and sentences from a finished data set.

1. tombstones.txt lists them, with what they can be known by and what is the same film (pipeline/dataset/reach.py), so
   that no later run brings them back.
2. Each shard that contains them is rewritten without them, under its own name and file by file; before it, its tables
   in `embeddings/`.
3. Their packs are deleted. Searches that were grown from a removed video's words stand without it, or go.
4. What the crawl's tables know of them is erased, and a pseudonym takes the place of each id, so that the accounts add
   up (pipeline/dataset/purge.py). A sentence takes out clips, not videos (pipeline/dataset/withdraw.py).
5. The manifest is rewritten and names the manifest before as its parent; the report too, which shows samples.
6. removals/<date>-<hash>.json lists the removed ids and keys, for copies, exports and merges that are elsewhere. After
   `purge` these and the tombstones hold salted hashes alone.

If it is killed anywhere, the same command finishes the work: a shard's contents are read from the tar itself, never
from rows that may belong to the previous tar. A shard without anything else stays as an empty tar, so that numbers have
no gap.
"""

import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from manifests.lock import RunLock
from manifests.rows import ShardRow
from manifests.shards import MANIFEST_NAME, PUBLISHED, TABLE_NAME, ShardEntry, head_of, manifest_bytes
from pipeline.crawl.grown import forget_videos
from pipeline.dataset.embedded import forget_embedded, move_heads
from pipeline.dataset.holders import channels_among, find_holders
from pipeline.dataset.purge import purge as purge_tables
from pipeline.dataset.reach import reached_by
from pipeline.dataset.records import found_by_address, hash_records, write_record
from pipeline.dataset.withdraw import withdraw
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.media.packs import index_pack
from pipeline.outdir.due import settle_due
from pipeline.outdir.named import Named
from pipeline.outdir.sayings import kept_out
from pipeline.outdir.tombstones import Tombstones, pseudonym, read_tombstones, salt_of, write_tombstones
from pipeline.query.cache import forget_tables
from pipeline.report.page import has_audit, write_report
from pipeline.report.summary import REPORT_NAME
from pipeline.shards.closed import committed_shards, read_entries
from pipeline.shards.files import SUCCESS, Piece, join_shard, put_shard, read_rows
from pipeline.shards.manifest import forget_published, given_head, publish
from pipeline.site.pauses import forget_videos as forget_asked


@dataclass(frozen=True, slots=True)
class Removal:
    """The result of a removal. `unknown` ids are in no shard and no table; they are kept out all the same."""

    n_samples: int
    n_shards: int
    n_packs: int
    unknown: tuple[str, ...]
    videos: tuple[str, ...] = ()
    """Ids of the videos here that the given ids cover; pseudonyms where an id was purged before."""
    n_purged: int = 0
    """Number of table rows that were emptied."""
    record: str = ""
    """Path of the list of ids and keys; "" if nothing was removed."""
    repeats: tuple[str, ...] = ()
    """Of `videos`, those that were not asked for: they are the same film as one that was."""
    clips: tuple[str, ...] = ()
    """Ids of the clips here that say one of the given sentences."""


def meant_by(named: Named, store: Store) -> Tombstones:
    """What lines of a text mean here: a bare id is a channel's if there is such a channel here, else a video's."""
    channels = channels_among(store, named.words)
    return Tombstones(named.videos | (named.words - channels), named.channels | channels, urls=named.urls)


def remove(store: Store, ids: Tombstones, *, purge: bool = False) -> Removal:
    """Removes videos, channels and sentences, and what is known here to be the same. Raises UserError if another run
    uses the directory or a shard is damaged.
    """
    with RunLock(store):
        if store.exists(MANIFEST_NAME):
            given_head(_head(store))  # refuses a manifest that cannot be rewritten before anything is removed
        before = read_tombstones(store)
        salt = salt_of(before)
        earlier = Tombstones(found_by_address(store, ids.urls, salt)) if ids.urls else Tombstones()
        reached, repeats = reached_by(store, ids.joined(earlier).with_pseudonyms(salt))
        tombstones = before.joined(reached).with_texts_hashed(salt)
        holders = find_holders(store, reached, tombstones)
        here = Tombstones(reached.videos | holders.videos | holders.gone).plain_ids()
        names = {name: pseudonym(name, salt) for name in here | (before.plain_ids() if before.under_way else set())}
        tombstones = tombstones.joined(Tombstones(reached.videos | holders.videos | {*names.values()}, salt=salt))
        id_of = {name: video_id for video_id, name in names.items()}
        meant = tuple(sorted({id_of.get(name, name) for name in holders.videos}))
        write_tombstones(store, tombstones.joined(Tombstones(under_way=True)))
        record = write_record(store, ids, meant, holders.keys, salt, purged=purge) if holders.keys or purge else ""
        manifests = _published(store) if holders.keys else ()
        forget_embedded(store, holders.shards, holders.keys)
        n_samples, n_shards = _remove_from_shards(store, tombstones, holders.shards, under_way=before.under_way)
        move_heads(store, manifests)
        n_packs = _remove_packs_of(store, holders.gone)
        forget_videos(store, meant)
        forget_asked(store, meant)
        n_purged = purge_tables(store, names) if names else 0
        clips, n_emptied = withdraw(store, holders.sayings, purge=purge)
        clips |= holders.clips
        if meant or clips or holders.shards or before.under_way:
            _write_report_anew(store)
        erased = reached.joined(Tombstones(frozenset(meant))) if purge else reached.hashed_in(before)
        if erased := replace(erased, videos=erased.plain_ids()):
            tombstones = tombstones.without(erased).joined(erased.as_hashes(salt))
            hash_records(store, erased, salt)
        write_tombstones(store, replace(tombstones, under_way=False))
        settle_due(store, meant)
        forget_tables(store)
        return Removal(
            n_samples,
            n_shards,
            n_packs,
            unknown=tuple(
                name
                for name in holders.unknown
                if name in ids.videos | ids.channels | ids.urls and not (name in ids.urls and earlier)
                if pseudonym(name, salt) not in holders.named
            ),
            videos=meant,
            n_purged=n_purged + n_emptied,
            record=record,
            repeats=tuple(sorted({id_of.get(name, name) for name in repeats} - ids.videos)),
            clips=tuple(sorted(clips)),
        )


def _write_report_anew(store: Store) -> None:
    """Makes the report again if there was one: it shows samples. Most of a removal's time goes here."""
    if (store.exists(REPORT_NAME) or store.exists(MANIFEST_NAME)) and has_audit(store):
        write_report(store)


def _published(store: Store) -> tuple[str, ...]:
    """SHA-256 of the manifests that are kept here by their hashes, the current one among them."""
    return tuple(name.removesuffix(".json") for name in store.names(PUBLISHED) if name.endswith(".json"))


def _remove_from_shards(
    store: Store, tombstones: Tombstones, urls: Collection[str], *, under_way: bool
) -> tuple[int, int]:
    """Rewrites these shards; returns the numbers of removed samples and of shards that have changed. `under_way`: a
    removal was interrupted, which may have rewritten others.
    """
    closed = read_entries(store)
    opened = committed_shards(store, but={entry.url for entry in closed})
    before = [*closed, *opened.values()]
    hit = [entry for entry in before if entry.url in urls]
    is_out = kept_out(tombstones)
    rows_of = counted(hit, len(hit), "remove")
    new = {entry.url: rewrite_shard(store, entry, lambda row: not is_out(row)) for entry in rows_of}
    for unit, entry in opened.items():
        if entry.url in new:
            store.commit("shards", unit, {**store.commit_facts("shards", unit), "shard": new[entry.url].row()})
    if closed:
        _rewrite_manifest(store, [new.get(entry.url, entry) for entry in closed], is_changed=bool(hit) or under_way)
    n_samples = sum(entry.nsamples - new[entry.url].nsamples for entry in hit)
    return n_samples, sum(entry != new[entry.url] for entry in hit)


def _head(store: Store) -> dict[str, Any]:
    """Reads manifest.json's keys. Raises UserError if they are not those of a manifest."""
    return head_of(store.read(MANIFEST_NAME), f"{store.url}/{MANIFEST_NAME}")


def _rewrite_manifest(store: Store, entries: list[ShardEntry], *, is_changed: bool) -> None:
    """`is_changed`: shards were rewritten, so what earlier manifests say of them is no longer true."""
    if store.exists(MANIFEST_NAME):
        head, card = given_head(_head(store))
        publish(store, entries, head, card)
        if is_changed:
            forget_published(store)
    else:  # a run was killed between the two files; it will write the other when it continues
        store.write(TABLE_NAME, manifest_bytes(entries, {})[1])


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


def _remove_packs_of(store: Store, video_ids: Collection[str]) -> int:
    parts = store.parts_of("packs", video_ids).values()
    gone = {pack for part in parts for pack in store.read_part(part, ["pack"]).column("pack").to_pylist() if pack}
    there = sorted(pack for pack in gone if store.exists(pack))
    for pack in there:
        store.delete(pack)
    return len(there)

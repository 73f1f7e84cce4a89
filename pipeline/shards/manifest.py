"""The manifest of an output directory, and the indexes and cards beside it.

in     the closed shards (manifest.parquet) and the committed units of stage `shards`
out    manifest.parquet, index/*.arrow, wids.json, sizes.json (also in each split), dataset_card.md,
       manifests/<sha256>.json (each manifest ever published), manifest.json last

manifest.parquet lists only committed shards and closes their generation; manifest.json follows and contains its
checksum. If a run is killed between any two of these writes, the next run completes them, with the same bytes.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from manifests.clip_status import is_success
from manifests.errors import DamagedFile, UserError
from manifests.funnel import CURE_OF_SELECTION, SELECTION_NAME
from manifests.image_sample import IMAGE_KIND
from manifests.parallel import side_by_side
from manifests.parquet import damage_named, open_parquet
from manifests.reasons import Reason
from manifests.review import read_review
from manifests.sample_index import entries_in
from manifests.schema import TABLES
from manifests.seals import sealed
from manifests.shards import (
    MANIFEST_NAME,
    PUBLISHED,
    TABLE_NAME,
    Manifest,
    ShardEntry,
    head_of,
    manifest_bytes,
    published_names,
    read_manifest,
    sizes_bytes,
    wids_bytes,
)
from manifests.wrong_value import first_fault
from pipeline.config.shards import CardConfig
from pipeline.engine.store.many_parts import read_many
from pipeline.engine.store.store import Store
from pipeline.media.versions import tool_versions
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way
from pipeline.shards.card import dataset_card
from pipeline.shards.closed import committed_shards, read_entries
from pipeline.shards.files import SUCCESS, read_rows, shard_files
from pipeline.shards.image_card import image_card
from pipeline.shards.sample_index import make_indexes, put_indexes, sweep_indexes

WIDS_NAME, SIZES_NAME = "wids.json", "sizes.json"
CARD_NAME = "dataset_card.md"
_MAY_COME_BACK = {Reason.OVER_QUOTA, Reason.OVER_CHANNEL_CAP, Reason.NOT_NEEDED}
_NO_NEWS = ("created_at", "parent", "versions")
"""Keys of manifest.json that alone are no reason to rewrite it: the shards are the same."""


def write_manifest(
    store: Store,
    *,
    name: str,
    config: Mapping[str, Any],
    card: CardConfig,
    facts: Mapping[str, Any] | None = None,
    created_at: str = "",
) -> Manifest:
    """Closes the open generation: writes the manifest of all committed shards, and the files beside it.

    `config` is the run's configuration without secrets, by dotted key; `facts` are further keys of manifest.json
    (`balance`, funnel …) that depend on the data alone. If only the time and the tools' versions have changed,
    manifest.json stays as it is; otherwise it names the previous manifest as its parent. Raises UserError if a removal
    was interrupted.
    """
    refuse_while_under_way(store, read_tombstones(store))
    entries = read_entries(store)
    entries += committed_shards(store, but={entry.url for entry in entries}).values()
    head = {"name": name, "config": dict(config), "versions": tool_versions(), **(facts or {})}
    return publish(store, entries, head, card, created_at=created_at)


def publish(
    store: Store, entries: Sequence[ShardEntry], head: Mapping[str, Any], card: CardConfig, *, created_at: str = ""
) -> Manifest:
    """Writes the manifest of these shards and the files beside it. See `write_manifest`."""
    with tempfile.TemporaryDirectory() as folder:
        return _publish(store, sorted(entries, key=lambda entry: entry.url), head, card, created_at, Path(folder))


def _publish(
    store: Store,
    entries: Sequence[ShardEntry],
    head: Mapping[str, Any],
    card: CardConfig,
    created_at: str,
    scratch: Path,
) -> Manifest:
    old = _old_manifest(store)
    tombstones = read_tombstones(store)
    made = make_indexes(store, entries, scratch, entries_in(old))
    document = {
        **head,
        "generation": max((entry.generation for entry in entries), default=0),
        "members": _members(store, entries),
        "removed": tombstones.counts(),
        "card": card.model_dump(mode="json"),
        "index": made,
        "parent": old.get("sha256", ""),
        "created_at": created_at or datetime.now(UTC).replace(microsecond=0).isoformat(),
    }
    text, table = manifest_bytes(entries, document)
    if _says_the_same(text, old.get("bytes", b"")):
        text = old["bytes"]
    whole = json.loads(text)
    files = {
        TABLE_NAME: table,
        WIDS_NAME: wids_bytes(entries, name=str(whole["name"])),
        SIZES_NAME: sizes_bytes(entries),
        **split_indexes(entries, name=str(whole["name"])),
        CARD_NAME: sealed(_card(store, whole, card).encode()),
        MANIFEST_NAME: text,
    }
    put_indexes(store, scratch, made)
    kept = dict(zip(published_names(text, table), (text, table), strict=True))
    for file, data in {**kept, **files}.items():
        _write_if_changed(store, file, data)
    sweep_indexes(store, made)
    return read_manifest(store.url, **dict(store.options))


def _card(store: Store, head: Mapping[str, Any], card: CardConfig) -> str:
    return image_card(head, card) if head["kind"] == IMAGE_KIND else dataset_card(head, card, read_review(store))


def rewrite_card(store: Store) -> None:
    """Writes the card of a published data set again: it was reviewed since."""
    head = head_of(store.read(MANIFEST_NAME), f"{store.url}/{MANIFEST_NAME}")
    store.write_sealed(CARD_NAME, _card(store, head, given_head(head)[1]).encode())


def forget_published(store: Store) -> None:
    """Deletes every published manifest but the current: what they say of rewritten shards is no longer true."""
    in_force = set(published_names(store.read(MANIFEST_NAME), store.read(TABLE_NAME)))
    for name in store.names(PUBLISHED):
        if f"{PUBLISHED}/{name}" not in in_force:
            store.delete(f"{PUBLISHED}/{name}")


def split_indexes(entries: Sequence[ShardEntry], *, name: str) -> dict[str, bytes]:
    """Makes wids.json and sizes.json for each split's folder, by file name.

    open_clip looks for its counts there. And wids, with a cache folder, names cached shards by their file name alone:
    through a common index, train/00000.tar and val/00000.tar would be mistaken for each other.
    """
    files: dict[str, bytes] = {}
    for split in sorted({entry.split for entry in entries}):
        here = [replace(e, url=e.url.rpartition("/")[2]) for e in entries if e.split == split]
        files[f"shards/{split}/{WIDS_NAME}"] = wids_bytes(here, name=f"{name}-{split}")
        files[f"shards/{split}/{SIZES_NAME}"] = sizes_bytes(here)
    return files


def given_head(document: Mapping[str, Any]) -> tuple[dict[str, Any], CardConfig]:
    """Returns (head, card) as given when a manifest.json was written: what `publish` needs to rewrite it."""
    counted = {"index", "totals", "splits", "shards", "shards_sha256", "schema_version", "generation", "members"}
    if document.get("kind") != IMAGE_KIND:
        counted.add("kind")
    head = {k: v for k, v in document.items() if k not in counted | {"card", "parent", "created_at", "removed"}}
    card = document.get("card", {})
    try:
        return head, CardConfig.model_validate({k: v for k, v in card.items() if k in CardConfig.model_fields})
    except ValidationError as error:
        raise DamagedFile(f"{MANIFEST_NAME}: card.{first_fault(CardConfig, error)}; restore the file") from None


def _old_manifest(store: Store) -> dict[str, Any]:
    try:
        data = store.read(MANIFEST_NAME)
    except FileNotFoundError:
        return {}
    return {"bytes": data, "sha256": hashlib.sha256(data).hexdigest(), "index": json.loads(data).get("index", {})}


def _says_the_same(new: bytes, old: bytes) -> bool:
    if not old:
        return False
    pair = [json.loads(text) for text in (new, old)]
    for document in pair:
        for key in _NO_NEWS:
            document.pop(key, None)
    return bool(pair[0] == pair[1])


def _write_if_changed(store: Store, name: str, data: bytes) -> None:
    try:
        if store.read(name) == data:
            return
    except FileNotFoundError:
        pass
    store.write(name, data)


def _members(store: Store, entries: Sequence[ShardEntry]) -> list[str]:
    """The extensions that every sample has, read from the first sample."""
    for entry in entries:
        rows = read_rows(store, entry.url, ["status", "members"]).to_pylist() if entry.nsamples else []
        for row in rows:
            if row["status"] == SUCCESS:
                return list(json.loads(row["members"]))
    return []


def remove_packs(store: Store, manifest: Manifest) -> int:
    """Deletes packs that no later generation needs, once no more videos are to come; returns how many.

    A pack is deleted if its video's selected samples are in the manifest's shards, if the selection has rejected the
    video for good, or if no row names it (those of abandoned workers or earlier attempts). Videos left out only by a
    quota keep theirs: a larger quota may want them. Rows of table `packs` stay, so that no later run fetches these
    videos again.
    """
    done = _rejected_for_good(store) | _with_samples_in(store, manifest.shards)
    needed: set[str] = set()
    for rows in store.read_runs("packs", ["video_id", "pack"]):
        pairs = zip(rows.column("video_id").to_pylist(), rows.column("pack").to_pylist(), strict=True)
        needed |= {pack for video_id, pack in set(pairs) if video_id not in done}
    return _delete(store, [pack for pack in _present(store) if pack not in needed])


def remove_packs_of(store: Store, shards: Sequence[ShardEntry]) -> int:
    """Deletes the packs of the videos that have samples in these shards; returns how many.

    While a run goes on these are the newest shards, so that what it costs does not grow with the data set. Packs of
    earlier ones that a killed run left are deleted at its end.
    """
    parts = list(store.parts_of("packs", _with_samples_in(store, shards)).values())
    schema = pa.schema([TABLES["packs"].field("pack")])
    named = {pack for _, rows in read_many(store, parts, schema) for pack in rows.column("pack").to_pylist() if pack}
    return _delete(store, sorted(named))


def _with_samples_in(store: Store, shards: Sequence[ShardEntry]) -> set[str]:
    """The videos that have samples in these shards."""

    def read(entry: ShardEntry) -> list[str]:
        table = read_rows(store, entry.url, ["status", "video_id"])
        ids: list[str] = pc.unique(table.filter(is_success(table["status"]))["video_id"]).to_pylist()
        return ids

    return {video_id for ids in side_by_side(read, shards) for video_id in ids}


def _present(store: Store) -> list[str]:
    """The packs that are there; the table's parts lie in the same folder."""
    return [f"packs/{name}" for name in store.names("packs") if name.endswith(".tar")]


def _delete(store: Store, packs: Sequence[str]) -> int:
    return len(side_by_side(store.delete, packs))


def _rejected_for_good(store: Store) -> set[str]:
    with damage_named(f"{store.url}/{SELECTION_NAME}", CURE_OF_SELECTION), store.open(SELECTION_NAME) as file:
        rows = open_parquet(file).read(columns=["video_id", "kept", "reason"])
    may_come_back = pc.field("kept") | pc.is_in(pc.field("reason"), pa.array(sorted(_MAY_COME_BACK)))
    return set(rows.filter(~may_come_back)["video_id"].to_pylist())


def sweep_shards(store: Store, manifest: Manifest) -> list[str]:
    """Deletes the stray files under shards/, leftovers of a killed run whose plan has changed; returns their names."""
    strays = stray_files(store, manifest)
    for stray in strays:
        store.delete(stray)
    return strays


def stray_files(store: Store, manifest: Manifest) -> list[str]:
    """Files under shards/ that are named like a shard's file but belong to no shard of the manifest."""
    known = {name for entry in manifest.shards for name in shard_files(entry.url)}
    paths = [f"shards/{split}/{name}" for split in store.folders("shards") for name in store.names(f"shards/{split}")]
    return [path for path in paths if path not in known and _looks_like_ours(path.rpartition("/")[2])]


def _looks_like_ours(name: str) -> bool:
    stem = name.partition(".")[0].removesuffix("_stats")
    return stem.isdigit() and len(stem) >= 5 and name in {f"{stem}.tar", f"{stem}.parquet", f"{stem}_stats.json"}


def refuse_existing(out: Store) -> None:
    """Raises UserError if there is a data set at `out` already."""
    if out.exists(MANIFEST_NAME):
        raise UserError(f"{out.url}: holds a data set already; name another folder")

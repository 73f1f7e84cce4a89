"""What a data set holds, as arrays: one entry a sample, with the place of each member in its shard.

The index is built from the manifest and the shards' own Parquet files alone; no tar is opened. It is the same on every
rank and in every run, so its order (manifest order, then row order) can be planned on. A sample costs about 110
bytes of memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.sample import ALL_MEMBERS
from manifests.shards import Manifest, ShardEntry, read_shard_rows
from manifests.stages import notes_on

ABSENT = -1
READ_THREADS = 8

log = logging.getLogger("hdvila")


@dataclass(frozen=True, slots=True)
class Index:
    """The samples of one split. Arrays have one row a sample; member columns follow `ALL_MEMBERS`."""

    manifest: Manifest
    shards: tuple[ShardEntry, ...]
    keys: pa.LargeStringArray
    shard: npt.NDArray[np.int32]
    """Number into `shards`, `[n]`."""
    category: npt.NDArray[np.int32]
    """Category id, `[n]`."""
    offsets: npt.NDArray[np.int64]
    """First byte of a member's data in its tar, `[n, len(ALL_MEMBERS)]`; -1 where the sample has none."""
    sizes: npt.NDArray[np.int64]
    """Bytes of a member, `[n, len(ALL_MEMBERS)]`; -1 where the sample has none."""
    bad_shards: tuple[str, ...] = ()
    """Shards left out because their rows cannot be read, each with the reason."""
    by_shard: bool = True
    """Samples of a shard stand together, shards in rising order."""

    def __len__(self) -> int:
        return len(self.shard)

    def key(self, sample: int) -> str:
        """`<video_id>_<n:05d>` of a sample."""
        return str(self.keys[sample].as_py())

    def members(self, sample: int) -> dict[str, tuple[int, int]]:
        """{extension: (offset, size)} of the members a sample has."""
        offsets, sizes = self.offsets[sample], self.sizes[sample]
        return {m: (int(offsets[i]), int(sizes[i])) for i, m in enumerate(ALL_MEMBERS) if sizes[i] != ABSENT}

    def has(self, *extensions: str) -> bool:
        """Whether every sample has these members."""
        columns = [ALL_MEMBERS.index(extension) for extension in extensions]
        return bool((self.sizes[:, columns] != ABSENT).all())

    def fingerprint(self) -> str:
        """Hash of the manifest and of the shards that could be read: what a position in the order depends on."""
        parts = [self.manifest.sha256, *(shard.url for shard in self.shards)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def load_index(
    manifest: Manifest, split: str, *, max_bad_shards: int = 0, storage_options: Mapping[str, Any] | None = None
) -> Index:
    """The index of one split.

    Raises UserError where the split has no samples, or more than `max_bad_shards` shards cannot be read (names them).
    """
    for note in notes_on(manifest.head.get("made_by", {})):
        log.warning("%s: %s", manifest.root, note)
    shards = manifest.split(split)
    if not shards:
        found = ", ".join(sorted({s.split for s in manifest.shards})) or "none"
        raise UserError(f"{manifest.root}: no shard of split {split!r} in the manifest (splits there: {found})")
    with ThreadPoolExecutor(READ_THREADS) as pool:
        parts = list(pool.map(lambda s: _read_part(manifest, s, storage_options or {}), shards))
    bad = tuple(part for part in parts if isinstance(part, str))
    refuse_bad_shards(bad, max_bad_shards)
    good = [(s, p) for s, p in zip(shards, parts, strict=True) if not isinstance(p, str)]
    if not sum(len(part.keys) for _, part in good):
        raise UserError(f"{manifest.root}: split {split!r} holds no sample")
    return _join(manifest, good, bad)


def read_captions(manifest: Manifest, split: str, storage_options: Mapping[str, Any] | None = None) -> list[str]:
    """The captions of a split's samples, in index order. Shards whose rows cannot be read are passed over."""
    captions: list[str] = []
    for shard in manifest.split(split):
        try:
            rows = read_shard_rows(manifest, shard, **(storage_options or {})).select(["status", "caption"]).to_pydict()
        except UserError:
            continue  # load_index has counted it
        captions += [c for c, status in zip(rows["caption"], rows["status"], strict=True) if status == "success"]
    return captions


def refuse_bad_shards(bad: Sequence[str], limit: int) -> None:
    """Stop (UserError) where more shards than the limit could not be read; the message names each."""
    if len(bad) > limit:
        raise UserError(
            f"{len(bad)} unreadable shard{'s' * (len(bad) > 1)}, more than data.max_bad_shards={limit} allows:\n  "
            + "\n  ".join(bad)
            + "\ncopy them again, or raise data.max_bad_shards to go on without them"
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """One shard's share of the index; arrays, since a large data set has a hundred million rows."""

    keys: pa.LargeStringArray
    category: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


def _read_part(manifest: Manifest, shard: ShardEntry, storage_options: Mapping[str, Any]) -> _Part | str:
    """The rows of a shard's samples, or why they cannot be used."""
    try:
        rows = read_shard_rows(manifest, shard, **storage_options)
        rows = rows.select(["key", "status", "category_id", "members"])
        rows = rows.filter(pc.equal(rows["status"], "success"))
        members = json.loads("[" + ",".join(rows["members"].to_pylist()) + "]")
        places = [[m.get(extension, (ABSENT, ABSENT)) for extension in ALL_MEMBERS] for m in members]
        pairs = np.array(places, np.int64).reshape(-1, len(ALL_MEMBERS), 2)
        keys = rows["key"].cast(pa.large_string()).combine_chunks()
        category = rows["category_id"].to_numpy().astype(np.int32)
        return _Part(keys, category, pairs[:, :, 0].copy(), pairs[:, :, 1].copy())
    except UserError as error:
        return str(error)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        return f"{manifest.resolve(shard.rows_url)}: rows are not those of a shard ({error})"


def _join(manifest: Manifest, good: Sequence[tuple[ShardEntry, _Part]], bad: tuple[str, ...]) -> Index:
    parts = [part for _, part in good]
    return Index(
        manifest=manifest,
        shards=tuple(shard for shard, _ in good),
        keys=pa.chunked_array([part.keys for part in parts]).combine_chunks(),
        shard=np.repeat(np.arange(len(good), dtype=np.int32), [len(part.keys) for part in parts]),
        category=np.concatenate([part.category for part in parts]),
        offsets=np.concatenate([part.offsets for part in parts]),
        sizes=np.concatenate([part.sizes for part in parts]),
        bad_shards=bad,
    )

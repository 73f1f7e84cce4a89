"""The index of a data set, as columns: one entry per sample, with the offset of each member in its shard.

A data set comes with index files (`manifests.sample_index`), and a split's only file is mapped into memory. Otherwise
(several generations, or none that fits) the index is built from the shards' own Parquet files, once per run, in
`cache`; no tar is opened. All ranks and workers of a machine share the mapped file. It is the same on every rank and in
every run, so that the sample order can be planned on its order (manifest order, then row order).
"""

import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.clip_status import ClipStatus
from manifests.errors import UserError
from manifests.sample_index import (
    ABSENT,
    IndexFile,
    SampleColumns,
    columns_of_rows,
    entries_in,
    index_files,
    join_columns,
    open_index,
    refuse_other_places,
    sha256_of,
    write_index,
)
from manifests.shards import Manifest, ShardEntry, read_shard_rows
from train.whole_file import whole_file

READ_THREADS = 8
COPY_BYTES = 4 << 20
UNUSABLE = (OSError, ValueError, KeyError, TypeError, RecursionError, pa.ArrowException)
"""What a file that is no index raises."""

log = logging.getLogger("hdvila")


@dataclass(frozen=True, slots=True)
class Index:
    """The samples of a split, in manifest order."""

    manifest: Manifest
    shards: tuple[ShardEntry, ...]
    columns: SampleColumns
    """Keys and the offsets of members; `columns.shard` holds indexes into `shards`."""
    bad_shards: tuple[str, ...] = ()
    """Shards left out because their rows cannot be read, each with the reason."""
    bad_index: str = ""
    """Why the data set's own index file was not used, if there is one."""
    by_shard: bool = True
    """Whether the samples of a shard are contiguous, and shards are in ascending order."""
    texts: tuple[tuple[str, ...], ...] = ()
    """The texts of every sample from an annotation file (`data.captions`); empty: each has its own, in KEY.txt."""
    answers: tuple[int, ...] = ()
    """With `data.questions`, a question for each sample: the number of its answer among the classes or of the right one
    of its texts, or a count. Empty: nothing is asked."""
    weight: npt.NDArray[np.float64] | None = None
    """How often each sample comes in an epoch on average (`data.sample_weight`); None: each once."""
    choice: str = ""
    """A hash of what `data.where` and `data.sample_weight` said of the samples; "" where they leave all as they are."""
    films: Mapping[str, str] = field(default_factory=dict)
    """Of a folder of videos: {key: the path of its file}, instead of members. Empty: samples lie in shards."""

    def __len__(self) -> int:
        return len(self.columns.shard)

    @property
    def keys(self) -> pa.LargeStringArray:
        """The key `<video_id>_<n:05d>` of every sample."""
        return self.columns.keys

    @property
    def shard(self) -> npt.NDArray[np.int32]:
        """The index into `shards` of every sample, `[n]`."""
        return self.columns.shard

    @property
    def category(self) -> npt.NDArray[np.int32]:
        """The category id of every sample, `[n]`."""
        return self.columns.category

    def key(self, sample: int) -> str:
        """The key `<video_id>_<n:05d>` of a sample."""
        return str(self.keys[sample].as_py())

    def members(self, sample: int) -> dict[str, tuple[int, int]]:
        """{extension: (offset, size)} of the members that a sample has."""
        offsets, sizes = self.columns.offsets, self.columns.sizes
        return {m: (int(offsets[m][sample]), int(sizes[m][sample])) for m in sizes if sizes[m][sample] != ABSENT}

    def has(self, *extensions: str) -> bool:
        """Whether every sample has these members."""
        return self.columns.members_of_all >= set(extensions)

    def fingerprint(self) -> str:
        """A hash of what the sample at a position depends on: the manifest, the readable shards, given texts."""
        parts = [self.manifest.sha256, *(shard.url for shard in self.shards), *filter(None, [self.choice])]
        parts += [text for texts in self.texts for text in texts]
        parts += [str(answer) for answer in self.answers]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def load_index(
    manifest: Manifest,
    split: str,
    *,
    max_bad_shards: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> Index:
    """Loads the index of a split: the data set's own, else that in `cache`, which is built if necessary.

    Raises UserError if the split has no samples, or more than `max_bad_shards` shards cannot be read (names them).
    """
    shards = manifest.split(split)
    if not shards:
        splits = ", ".join(sorted({s.split for s in manifest.shards})) or "none"
        raise UserError(f"{manifest.root}: no shard of split {split!r} in the manifest (splits there: {splits})")
    columns, fault = _kept_columns(manifest, split, cache), ""
    if columns is None:
        columns, fault = published_columns(manifest, split, storage_options or {}, cache)
    if columns is not None:
        index = _checked(manifest, shards, columns)
        if index is not None:
            return index
    built = _build(manifest, split, shards, max_bad_shards, storage_options or {}, cache)
    return replace(built, bad_index=fault)


def _checked(manifest: Manifest, shards: tuple[ShardEntry, ...], columns: SampleColumns) -> Index | None:
    """Makes an index from columns; None if they can't belong to these shards."""
    shard = columns.shard
    if not len(shard) or len(shard) != sum(s.nsamples for s in shards):
        return None
    by_shard = bool((shard[1:] >= shard[:-1]).all())
    if not by_shard or shard[0] < 0 or shard[-1] >= len(shards):
        return None
    return Index(manifest, shards, columns)


def _build(
    manifest: Manifest,
    split: str,
    shards: Sequence[ShardEntry],
    max_bad_shards: int,
    storage_options: Mapping[str, Any],
    cache: Path | None,
) -> Index:
    """Builds the index from the shards' own rows; reads one file per shard."""
    with ThreadPoolExecutor(READ_THREADS) as pool:
        parts = list(pool.map(lambda s: _read_part(manifest, s, storage_options), shards))
    bad = tuple(part for part in parts if isinstance(part, str))
    refuse_bad_shards(bad, max_bad_shards)
    good = [(s, p) for s, p in zip(shards, parts, strict=True) if not isinstance(p, str)]
    if not sum(len(part.keys) for _, part in good):
        raise UserError(f"{manifest.root}: split {split!r} holds no sample")
    columns = join_columns([part for _, part in good])
    if cache is not None and not bad:
        _keep(columns, manifest, split, cache)
    return Index(manifest, tuple(shard for shard, _ in good), columns, bad)


# ---- index files -----------------------------------------------------------------------------------------------------


def published_columns(
    manifest: Manifest, split: str, storage_options: Mapping[str, Any], cache: Path | None
) -> tuple[SampleColumns | None, str]:
    """The columns of the data set's own index file; None if it has none or several, or with the reason if it doesn't
    fit.

    A file in an object store is fetched into `cache` once.
    """
    files = index_files(split, manifest.split(split))
    named = (manifest.head.get("index") or {}).get(split)
    if not named or len(files) != 1 or (cache is None and "://" in manifest.root):
        return None, ""
    try:
        return _opened(files[0], _path(manifest, files[0], storage_options, cache)), ""
    except UNUSABLE as error:
        fault = f"{manifest.root}: index of {split}: cannot be used ({error}); the index is made of the shards' rows"
        log.warning("%s", fault)
        return None, fault


def _path(manifest: Manifest, file: IndexFile, storage_options: Mapping[str, Any], cache: Path | None) -> Path:
    """Where an index file is on this machine; fetches it if it is not. ValueError if it isn't the manifest's."""
    entry = entries_in(manifest.head).get(file.url)
    if entry is None or entry["shards_sha256"] != file.shards_sha256:
        raise ValueError(f"the manifest names no {file.url} of these shards")
    path = Path(manifest.resolve(file.url))
    if cache is not None and "://" in manifest.root:
        path = cache / f"index-{_safe(entry['sha256'])}.arrow"
        if not path.exists():
            _fetch(manifest.resolve(file.url), path, storage_options)
    if path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
        raise ValueError(f"{path} is not the manifest's")
    return path


def _opened(file: IndexFile, path: Path) -> SampleColumns:
    columns = open_index(path, file.shards_sha256)
    if columns is None or len(columns.keys) != file.n_samples:
        raise ValueError(f"{path} is no index of its shards")
    refuse_other_places(columns, [shard.nsamples for shard in file.shards], [shard.bytes_ for shard in file.shards])
    return columns


def _safe(name: str) -> str:
    """The start of a sha256, for a file name. ValueError if it isn't a sha256."""
    if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
        raise ValueError("the manifest's sha256 is not valid")
    return name[:16]


def _fetch(url: str, path: Path, storage_options: Mapping[str, Any]) -> None:
    with (
        whole_file(path) as part,
        fsspec.open(url, "rb", **storage_options) as source,
        part.open("wb") as target,
    ):
        shutil.copyfileobj(source, target, COPY_BYTES)


def _kept_path(manifest: Manifest, split: str, cache: Path) -> Path:
    return cache / f"{split}-of-{manifest.sha256[:16]}.arrow"


def _kept_columns(manifest: Manifest, split: str, cache: Path | None) -> SampleColumns | None:
    """The columns that an earlier call stored in `cache`; None if there are none or they can't be read."""
    if cache is None or not _kept_path(manifest, split, cache).exists():
        return None
    try:
        return open_index(_kept_path(manifest, split, cache), manifest.sha256)
    except UNUSABLE:
        return None


def _keep(columns: SampleColumns, manifest: Manifest, split: str, cache: Path) -> None:
    """Stores the columns in `cache`, for other processes and later starts."""
    with whole_file(_kept_path(manifest, split, cache)) as part:
        write_index(columns, part, manifest.sha256)


def read_captions(
    manifest: Manifest, split: str, storage_options: Mapping[str, Any] | None = None, *, at_most: int = 0, seed: int = 0
) -> list[str]:
    """The captions of a split's samples, in index order. Shards whose rows cannot be read are skipped.

    With `at_most`, reads only enough shards, drawn by the seed, to have that many samples (0: all shards).
    """
    shards = manifest.split(split)
    with ThreadPoolExecutor(READ_THREADS) as pool:
        parts = list(pool.map(lambda s: _captions_of(manifest, s, storage_options or {}), _some(shards, at_most, seed)))
    return [caption for part in parts for caption in part]


def _some(shards: Sequence[ShardEntry], at_most: int, seed: int) -> list[ShardEntry]:
    """Draws shards by the seed until they have at least `at_most` samples together; returns them in order."""
    if not at_most:
        return list(shards)
    order = np.random.default_rng(seed).permutation(len(shards))
    held = np.cumsum([shards[number].nsamples for number in order])
    chosen = order[: int(np.searchsorted(held, at_most)) + 1]
    return [shards[number] for number in np.sort(chosen)]


def _captions_of(manifest: Manifest, shard: ShardEntry, storage_options: Mapping[str, Any]) -> list[str]:
    try:
        rows = read_shard_rows(manifest, shard, **storage_options).select(["status", "caption"]).to_pydict()
    except UserError:
        return []  # load_index has already counted this shard as bad
    return [c for c, status in zip(rows["caption"], rows["status"], strict=True) if status == ClipStatus.SUCCESS]


def refuse_bad_shards(bad: Sequence[str], limit: int) -> None:
    """Raises UserError if more shards than the limit could not be read; the message names each."""
    if len(bad) > limit:
        raise UserError(
            f"{len(bad)} unreadable shard{'s' * (len(bad) > 1)}, more than data.max_bad_shards={limit} allows:\n  "
            + "\n  ".join(bad)
            + "\ncopy them again, or raise data.max_bad_shards to go on without them"
        )


def _read_part(manifest: Manifest, shard: ShardEntry, storage_options: Mapping[str, Any]) -> SampleColumns | str:
    """A shard's part of the index, or the reason why it cannot be used."""
    try:
        columns = columns_of_rows(read_shard_rows(manifest, shard, **storage_options))
        refuse_other_places(columns, [len(columns.keys)], [shard.bytes_])
        return columns
    except UserError as error:
        return str(error)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        return f"{manifest.resolve(shard.rows_url)}: rows are not those of a shard ({error})"

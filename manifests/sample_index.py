"""`index/*.arrow`: the location of every member of every sample, as memory-mapped columns.

    key          "<video_id>_<n:05d>"
    shard        number of its shard among the file's shards
    category_id
    <extension>  offset of the member's data in its tar, and <extension>_bytes its size; -1 if it has none

There is a file for the shards of each split and generation (some hundred shards at most: `index_files`), so that a data
set that grows gets new files and keeps those it has. `manifest.json` names them under `index`, each with its sha256 and
that of the names and checksums of its shards, which is also in the file's metadata, so that a stale index is
recognised.

One record batch a file, uncompressed (Arrow IPC): a reader maps it, and all processes of a machine share its pages. A
trainer maps a split's only file, and makes the index of several from the shards' rows, once per run
(train/data/index.py); opening either costs the same for a thousand samples and a hundred million.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from manifests.clip_status import is_success
from manifests.foreign_index import map_batch
from manifests.sample import ALL_MEMBERS, is_extension
from manifests.shards import ShardEntry

FORMAT = "2"
ABSENT = -1
_FORMAT, _OF, _WHOLE = b"hdvila_index", b"shards_sha256", b"members_of_all"


INDEXES = "index"
"""The folder of the index files, beside the manifest."""
SHARDS_A_FILE = 512
"""A generation of more shards than this (a merged set's only generation) has several files."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """An index file that a split's shards need. `numbers`: those of its shards among the split's."""

    url: str
    numbers: tuple[int, ...]
    shards: tuple[ShardEntry, ...]

    @property
    def shards_sha256(self) -> str:
        """A checksum of the shards that it is made from."""
        names = "\n".join(f"{shard.url} {shard.sha256}" for shard in self.shards)
        return hashlib.sha256(names.encode()).hexdigest()

    @property
    def n_samples(self) -> int:
        """The number of samples in its shards; there is no file where that is 0."""
        return sum(shard.nsamples for shard in self.shards)


def index_files(split: str, shards: Sequence[ShardEntry]) -> list[IndexFile]:
    """The index files of a split's shards, given in manifest order: by generation, in that order."""
    by_generation: dict[int, list[int]] = {}
    for number, shard in enumerate(shards):
        by_generation.setdefault(shard.generation, []).append(number)
    files = []
    for generation, of_it in sorted(by_generation.items()):
        for first in range(0, len(of_it), SHARDS_A_FILE):
            numbers = tuple(of_it[first : first + SHARDS_A_FILE])
            url = f"{INDEXES}/{split}-{generation:05d}-{first // SHARDS_A_FILE:03d}.arrow"
            files.append(IndexFile(url, numbers, tuple(shards[number] for number in numbers)))
    return [file for file in files if file.n_samples]


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """The columns of an index; `offsets` and `sizes` by extension, `[n]`, -1 if a sample has no such member."""

    keys: pa.LargeStringArray
    shard: npt.NDArray[np.int32]
    category: npt.NDArray[np.int32]
    offsets: Mapping[str, npt.NDArray[np.int64]]
    sizes: Mapping[str, npt.NDArray[np.int64]]
    members_of_all: frozenset[str]
    """Extensions that every sample has."""

    def numbered(self, shard: npt.NDArray[np.int32]) -> SampleColumns:
        """The same samples in shards of other numbers: `shard` gives the new number by the old."""
        return replace(self, shard=shard[self.shard])

    def take(self, samples: npt.NDArray[np.int64]) -> SampleColumns:
        """The samples of these numbers, in this order."""
        offsets, sizes = ({m: column[samples] for m, column in by.items()} for by in (self.offsets, self.sizes))
        keys = self.keys.take(pa.array(samples))
        return SampleColumns(keys, self.shard[samples], self.category[samples], offsets, sizes, self.members_of_all)


def columns_of_rows(rows: pa.Table) -> SampleColumns:
    """The samples among a shard's rows (SHARD_ROWS), as shard 0. ValueError, KeyError, TypeError for damaged rows."""
    made = rows.select(["key", "status", "category_id", "members"])
    made = made.filter(is_success(made["status"]))
    texts = made["members"].combine_chunks()
    extensions = _extensions_of(texts)
    pairs = _pairs_at_once(texts, extensions)
    if pairs is None:
        pairs = _pairs_one_by_one(texts, extensions)
    offsets, sizes = ({m: pair[:, k].copy() for m, pair in pairs.items()} for k in (0, 1))
    keys = made["key"].cast(pa.large_string()).combine_chunks()
    category = made["category_id"].to_numpy().astype(np.int32)
    return SampleColumns(keys, np.zeros(len(keys), np.int32), category, offsets, sizes, _whole(sizes))


_Pairs = dict[str, npt.NDArray[np.int64]]
"""By extension: [n, 2] offset and size."""


def _extensions_of(texts: pa.StringArray) -> tuple[str, ...]:
    """The extensions that have columns: those of every data set, and what other packages added to the first sample."""
    first = json.loads(texts[0].as_py()) if len(texts) else {}
    return (*ALL_MEMBERS, *(name for name in first if name not in ALL_MEMBERS and is_extension(name)))


def _pairs_at_once(texts: pa.StringArray, extensions: Sequence[str] = ALL_MEMBERS) -> _Pairs | None:
    """The members of all rows by Arrow's JSON reader, six times as fast as singly; None if it can't read them.

    It would pass over some damage: a null, several objects in a text. Such texts are left to the other way.
    """
    if pc.any(pc.or_(pc.match_substring(texts, "null"), pc.not_equal(pc.count_substring(texts, "{"), 1))).as_py():
        return None
    lines = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts), "\n")[0].as_buffer()
    if not lines.size:
        return None
    schema = pa.schema([(extension, pa.list_(pa.int64())) for extension in extensions])
    try:
        table = pj.read_json(
            pa.BufferReader(lines),
            read_options=pj.ReadOptions(use_threads=False, block_size=lines.size + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    columns = {m: table.column(m).combine_chunks() for m in extensions}
    are_pairs = all(pc.all(pc.equal(pc.list_value_length(c), 2)).as_py() is not False for c in columns.values())
    if table.num_rows != len(texts) or not are_pairs:
        return None
    return {m: _pairs_of(column) for m, column in columns.items()}


def _pairs_of(column: pa.ListArray) -> npt.NDArray[np.int64]:
    pairs = np.full((len(column), 2), ABSENT, np.int64)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    pairs[there] = column.flatten().to_numpy().reshape(-1, 2)
    return pairs


def _pairs_one_by_one(texts: pa.StringArray, extensions: Sequence[str] = ALL_MEMBERS) -> _Pairs:
    members = json.loads("[" + ",".join(texts.to_pylist()) + "]")
    spans = [[m.get(extension, (ABSENT, ABSENT)) for extension in extensions] for m in members]
    pairs = np.array(spans, np.int64).reshape(-1, len(extensions), 2)
    return {m: pairs[:, i] for i, m in enumerate(extensions)}


def join_columns(parts: Sequence[SampleColumns]) -> SampleColumns:
    """Joins the columns of several shards, numbering the shards in this order."""
    extensions = dict.fromkeys(m for part in parts for m in part.sizes)
    offsets, sizes = (
        {m: np.concatenate([_column(columns, m, len(columns["json"])) for columns in of_parts]) for m in extensions}
        for of_parts in ([part.offsets for part in parts], [part.sizes for part in parts])
    )
    return SampleColumns(
        keys=pa.chunked_array([part.keys for part in parts], pa.large_string()).combine_chunks(),
        shard=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.keys) for part in parts]),
        category=np.concatenate([part.category for part in parts]),
        offsets=offsets,
        sizes=sizes,
        members_of_all=_whole(sizes),
    )


def _column(columns: Mapping[str, npt.NDArray[np.int64]], extension: str, n: int) -> npt.NDArray[np.int64]:
    """[n] the column of an extension; ABSENT throughout if there is none."""
    column = columns.get(extension)
    return np.full(n, ABSENT, np.int64) if column is None else column


def _whole(sizes: Mapping[str, npt.NDArray[np.int64]]) -> frozenset[str]:
    return frozenset(m for m, column in sizes.items() if bool((column != ABSENT).all()))


def write_index(columns: SampleColumns, path: Path, shards_sha256: str) -> None:
    """Writes an index file; `shards_sha256` is that of its shards' manifest.parquet. Equal input gives equal bytes."""
    arrays: dict[str, Any] = {"key": columns.keys, "shard": columns.shard, "category_id": columns.category}
    for extension in columns.offsets:
        arrays |= {extension: columns.offsets[extension], f"{extension}_bytes": columns.sizes[extension]}
    _write(arrays, columns.members_of_all, path, shards_sha256)


def _write(arrays: Mapping[str, Any], members_of_all: frozenset[str], path: Path, shards_sha256: str) -> None:
    metadata = {_FORMAT: FORMAT, _OF: shards_sha256, _WHOLE: json.dumps(sorted(members_of_all))}
    batch = pa.record_batch(dict(arrays)).replace_schema_metadata(metadata)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


class IndexWriter:
    """Writes the index of samples that are added piece by piece, as `write_index` would that of all of them.

    The columns grow in files in `folder` and are mapped when the index is written, since the index of a hundred million
    samples is larger than the memory of the machine that makes it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._n_key_bytes = folder, 0
        self._open: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()
        self._extensions = dict.fromkeys(ALL_MEMBERS)
        self._members_of_all: frozenset[str] | None = None
        self.n_samples = 0
        self._append("key_ends", np.zeros(1, np.int64))

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, part: SampleColumns) -> None:
        """Appends samples."""
        if not len(part.keys):
            return
        ends, letters = _flat_keys(part.keys)
        self._append("keys", letters)
        self._append("key_ends", ends + self._n_key_bytes)
        self._append("shard", part.shard)
        self._append("category_id", part.category)
        for extension in part.offsets.keys() - self._extensions.keys():
            self._extensions[extension] = None
            for column in (extension, f"{extension}_bytes"):
                self._append(column, np.full(self.n_samples, ABSENT, np.int64))
        for extension in self._extensions:
            self._append(extension, _column(part.offsets, extension, len(ends)))
            self._append(f"{extension}_bytes", _column(part.sizes, extension, len(ends)))
        self.n_samples += len(ends)
        self._n_key_bytes += int(ends[-1])
        of_all = self._members_of_all
        self._members_of_all = part.members_of_all if of_all is None else of_all & part.members_of_all

    def write(self, path: Path, shards_sha256: str) -> None:
        """Writes the index of all that was added, at least one sample. Nothing can be added after that."""
        self._stack.close()
        keys = [None, self._mapped("key_ends"), self._mapped("keys")]
        arrays = {
            "key": pa.Array.from_buffers(pa.large_string(), self.n_samples, keys),
            "shard": self._numbers("shard", pa.int32()),
            "category_id": self._numbers("category_id", pa.int32()),
        }
        for extension in self._extensions:
            arrays |= {name: self._numbers(name, pa.int64()) for name in (extension, f"{extension}_bytes")}
        _write(arrays, self._members_of_all or frozenset(), path, shards_sha256)

    def _append(self, column: str, values: npt.NDArray[Any]) -> None:
        if column not in self._open:
            self._open[column] = self._stack.enter_context((self._folder / column).open("wb"))
        self._open[column].write(np.ascontiguousarray(values).data)

    def _mapped(self, column: str) -> pa.Buffer:
        return pa.memory_map(str(self._folder / column), "r").read_buffer()

    def _numbers(self, column: str, type_: pa.DataType) -> pa.Array:
        return pa.Array.from_buffers(type_, self.n_samples, [None, self._mapped(column)])


def _flat_keys(keys: pa.LargeStringArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Where each key ends among their letters, and these, in a row."""
    _, ends, letters = keys.buffers()
    at = np.frombuffer(ends, np.int64)[keys.offset : keys.offset + len(keys) + 1]
    return at[1:] - at[0], np.frombuffer(letters, np.uint8)[at[0] : at[-1]]


class IndexEntry(TypedDict):
    """The entry of an index file in manifest.json."""

    url: str
    sha256: str
    bytes: int
    samples: int
    shards_sha256: str


def index_entry(file: IndexFile, path: Path) -> IndexEntry:
    """Makes the entry of an index file for manifest.json."""
    return {
        "url": file.url,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "samples": file.n_samples,
        "shards_sha256": file.shards_sha256,
    }


def entries_in(head: Mapping[str, Any]) -> dict[str, IndexEntry]:
    """The entries of the index files that a manifest.json names, by url. Those of another form are left out."""
    named = head.get("index")
    lists = named.values() if isinstance(named, Mapping) else ()
    entries_of: dict[str, IndexEntry] = {}
    for entry in (entry for entries in lists if isinstance(entries, list) for entry in entries):
        if isinstance(entry, dict) and {name: type(entry.get(name)) for name in _ENTRY_TYPES} == _ENTRY_TYPES:
            entries_of[entry["url"]] = entry  # type: ignore[assignment]
    return entries_of


_ENTRY_TYPES = {"url": str, "sha256": str, "bytes": int, "samples": int, "shards_sha256": str}


def sha256_of(path: Path) -> str:
    """The hash of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_index(path: Path, shards_sha256: str) -> SampleColumns | None:
    """The memory-mapped columns of a file; None if it is not an index of these shards.

    Raises OSError, ValueError, TypeError or pa.ArrowException if the file is missing, damaged or not as ours are.
    """
    batch = map_batch(path)
    metadata = dict(batch.schema.metadata or {}) if batch is not None else {}
    if batch is None or metadata.get(_FORMAT) != FORMAT.encode() or metadata.get(_OF) != shards_sha256.encode():
        return None

    def numbers(name: str) -> Any:
        return batch.column(name).to_numpy(zero_copy_only=True)

    extensions = [name for name in batch.schema.names if f"{name}_bytes" in batch.schema.names]
    return SampleColumns(
        keys=batch.column("key"),
        shard=numbers("shard"),
        category=numbers("category_id"),
        offsets={m: numbers(m) for m in extensions},
        sizes={m: numbers(f"{m}_bytes") for m in extensions},
        members_of_all=frozenset(json.loads(metadata[_WHOLE])),
    )


def refuse_other_places(columns: SampleColumns, n_samples: Sequence[int], n_bytes: Sequence[int]) -> None:
    """Raises ValueError if the columns have not each shard's number of samples, in the order of shards, or a member
    lies outside its tar. `n_samples` and `n_bytes`: of each shard.
    """
    if not np.array_equal(columns.shard, np.repeat(np.arange(len(n_samples)), n_samples)):
        raise ValueError("its samples are not those of the shards, in their order")
    ends = np.repeat(np.asarray(n_bytes, np.int64), n_samples)
    for extension, sizes in columns.sizes.items():
        offsets, is_absent = columns.offsets[extension], sizes == ABSENT
        is_inside = (offsets >= 0) & (sizes >= 0) & (offsets <= ends - sizes)  # their sum could pass 2^63
        if not (is_inside | is_absent).all():
            raise ValueError(f"a member {extension} lies outside its tar")
        if extension in columns.members_of_all and is_absent.any():
            raise ValueError(f"a sample has no member {extension}, which all have, as it says")
    if not columns.members_of_all <= columns.sizes.keys():
        raise ValueError("it says that all samples have a member that has no column")

"""`index/<split>.arrow`: the location of every member of every sample of a split, as memory-mapped columns.

    key          "<video_id>_<n:05d>"
    shard        number of its shard among the split's shards, in manifest order
    category_id
    <extension>  offset of the member's data in its tar, and <extension>_bytes its size; -1 if it has none

One record batch, uncompressed (Arrow IPC file): a reader maps it, all processes of a machine share its pages, and
opening it costs the same for a thousand samples and a hundred million. `manifest.json` names it with its sha256 under
`index`. The file's metadata holds the sha256 of the `manifest.parquet` that it was made from, so that a stale index is
recognised.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from manifests.clip_status import is_success
from manifests.sample import ALL_MEMBERS

FORMAT = "1"
ABSENT = -1
_FORMAT, _OF, _WHOLE = b"hdvila_index", b"shards_sha256", b"members_of_all"


def index_name(split: str) -> str:
    """The path of a split's index, relative to the manifest."""
    return f"index/{split}.arrow"


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


def columns_of_rows(rows: pa.Table) -> SampleColumns:
    """The samples among a shard's rows (SHARD_ROWS), as shard 0. ValueError, KeyError, TypeError for damaged rows."""
    made = rows.select(["key", "status", "category_id", "members"])
    made = made.filter(is_success(made["status"]))
    texts = made["members"].combine_chunks()
    pairs = _pairs_at_once(texts)
    if pairs is None:
        pairs = _pairs_one_by_one(texts)
    offsets, sizes = ({m: pair[:, k].copy() for m, pair in pairs.items()} for k in (0, 1))
    keys = made["key"].cast(pa.large_string()).combine_chunks()
    category = made["category_id"].to_numpy().astype(np.int32)
    return SampleColumns(keys, np.zeros(len(keys), np.int32), category, offsets, sizes, _whole(sizes))


_Pairs = dict[str, npt.NDArray[np.int64]]
"""By extension: [n, 2] offset and size."""


def _pairs_at_once(texts: pa.StringArray) -> _Pairs | None:
    """The members of all rows by Arrow's JSON reader, six times as fast as one by one; None if it can't read them.

    It would pass over some damage: a null, several objects in a text. Such texts are left to the other way.
    """
    if pc.any(pc.or_(pc.match_substring(texts, "null"), pc.not_equal(pc.count_substring(texts, "{"), 1))).as_py():
        return None
    lines = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts), "\n")[0].as_buffer()
    if not lines.size:
        return None
    try:
        table = pj.read_json(
            pa.BufferReader(lines),
            read_options=pj.ReadOptions(use_threads=False, block_size=lines.size + 1),
            parse_options=pj.ParseOptions(explicit_schema=_PAIRS, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    columns = {m: table.column(m).combine_chunks() for m in ALL_MEMBERS}
    are_pairs = all(pc.all(pc.equal(pc.list_value_length(c), 2)).as_py() is not False for c in columns.values())
    if table.num_rows != len(texts) or not are_pairs:
        return None
    return {m: _pairs_of(column) for m, column in columns.items()}


_PAIRS = pa.schema([(extension, pa.list_(pa.int64())) for extension in ALL_MEMBERS])


def _pairs_of(column: pa.ListArray) -> npt.NDArray[np.int64]:
    pairs = np.full((len(column), 2), ABSENT, np.int64)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    pairs[there] = column.flatten().to_numpy().reshape(-1, 2)
    return pairs


def _pairs_one_by_one(texts: pa.StringArray) -> _Pairs:
    members = json.loads("[" + ",".join(texts.to_pylist()) + "]")
    spans = [[m.get(extension, (ABSENT, ABSENT)) for extension in ALL_MEMBERS] for m in members]
    pairs = np.array(spans, np.int64).reshape(-1, len(ALL_MEMBERS), 2)
    return {m: pairs[:, i] for i, m in enumerate(ALL_MEMBERS)}


def join_columns(parts: Sequence[SampleColumns]) -> SampleColumns:
    """Joins the columns of several shards, numbering the shards in this order."""
    sizes = {m: np.concatenate([part.sizes[m] for part in parts]) for m in ALL_MEMBERS}
    return SampleColumns(
        keys=pa.chunked_array([part.keys for part in parts], pa.large_string()).combine_chunks(),
        shard=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.keys) for part in parts]),
        category=np.concatenate([part.category for part in parts]),
        offsets={m: np.concatenate([part.offsets[m] for part in parts]) for m in ALL_MEMBERS},
        sizes=sizes,
        members_of_all=_whole(sizes),
    )


def _whole(sizes: Mapping[str, npt.NDArray[np.int64]]) -> frozenset[str]:
    return frozenset(m for m, column in sizes.items() if bool((column != ABSENT).all()))


def write_index(columns: SampleColumns, path: Path, shards_sha256: str) -> None:
    """Writes an index file; `shards_sha256` is that of its shards' manifest.parquet. Equal input gives equal bytes."""
    arrays: dict[str, Any] = {"key": columns.keys, "shard": columns.shard, "category_id": columns.category}
    for extension in ALL_MEMBERS:
        arrays |= {extension: columns.offsets[extension], f"{extension}_bytes": columns.sizes[extension]}
    _write(arrays, columns.members_of_all, path, shards_sha256)


def _write(arrays: Mapping[str, Any], members_of_all: frozenset[str], path: Path, shards_sha256: str) -> None:
    metadata = {_FORMAT: FORMAT, _OF: shards_sha256, _WHOLE: json.dumps(sorted(members_of_all))}
    batch = pa.record_batch(dict(arrays)).replace_schema_metadata(metadata)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


class IndexWriter:
    """Writes the index of shards that are added one after the other, as `write_index` would that of all of them.

    The columns grow in files in `folder` and are mapped when the index is written, since the index of a hundred million
    samples is larger than the memory of the machine that makes it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._n_shards, self._n_key_bytes = folder, 0, 0
        self._members_of_all = frozenset(ALL_MEMBERS)
        self.n_samples = 0
        self._append("key_ends", np.zeros(1, np.int64))

    def add(self, part: SampleColumns) -> None:
        """Appends the next shard's samples."""
        ends = np.asarray(pc.cumulative_sum(pc.binary_length(part.keys)).to_numpy(), np.int64)
        self._append("keys", b"".join(part.keys.cast(pa.large_binary()).to_pylist()))
        self._append("key_ends", ends + self._n_key_bytes)
        self._append("shard", np.full(len(ends), self._n_shards, np.int32))
        self._append("category_id", part.category)
        for extension in ALL_MEMBERS:
            self._append(extension, part.offsets[extension])
            self._append(f"{extension}_bytes", part.sizes[extension])
        self._n_shards, self.n_samples = self._n_shards + 1, self.n_samples + len(ends)
        self._n_key_bytes += int(ends[-1]) if len(ends) else 0
        self._members_of_all &= part.members_of_all

    def write(self, path: Path, shards_sha256: str) -> None:
        """Writes the index of all that was added, at least one sample."""
        keys = [None, self._mapped("key_ends"), self._mapped("keys")]
        arrays = {
            "key": pa.Array.from_buffers(pa.large_string(), self.n_samples, keys),
            "shard": self._numbers("shard", pa.int32()),
            "category_id": self._numbers("category_id", pa.int32()),
        }
        for extension in ALL_MEMBERS:
            arrays |= {name: self._numbers(name, pa.int64()) for name in (extension, f"{extension}_bytes")}
        _write(arrays, self._members_of_all, path, shards_sha256)

    def _append(self, column: str, values: npt.NDArray[Any] | bytes) -> None:
        with (self._folder / column).open("ab") as file:
            file.write(values if isinstance(values, bytes) else values.tobytes())

    def _mapped(self, column: str) -> pa.Buffer:
        return pa.memory_map(str(self._folder / column), "r").read_buffer()

    def _numbers(self, column: str, type_: pa.DataType) -> pa.Array:
        return pa.Array.from_buffers(type_, self.n_samples, [None, self._mapped(column)])


class IndexEntry(TypedDict):
    """The entry of an index file in manifest.json."""

    url: str
    sha256: str
    bytes: int
    samples: int


def index_entry(split: str, path: Path, n_samples: int) -> IndexEntry:
    """Makes the entry of an index file for manifest.json."""
    return {"url": index_name(split), "sha256": sha256_of(path), "bytes": path.stat().st_size, "samples": n_samples}


def sha256_of(path: Path) -> str:
    """The hash of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_index(path: Path, shards_sha256: str) -> SampleColumns | None:
    """The memory-mapped columns of a file; None if it is not an index of these shards.

    Raises OSError or pa.ArrowInvalid if the file is missing or damaged.
    """
    file = pa.ipc.open_file(pa.memory_map(str(path), "r"))
    metadata = dict(file.schema.metadata or {})
    if metadata.get(_FORMAT, b"").decode() != FORMAT or metadata.get(_OF, b"").decode() != shards_sha256:
        return None
    if file.num_record_batches != 1:
        return None
    batch = file.get_batch(0)

    def numbers(name: str) -> Any:
        return batch.column(name).to_numpy(zero_copy_only=True)

    return SampleColumns(
        keys=batch.column("key"),
        shard=numbers("shard"),
        category=numbers("category_id"),
        offsets={m: numbers(m) for m in ALL_MEMBERS},
        sizes={m: numbers(f"{m}_bytes") for m in ALL_MEMBERS},
        members_of_all=frozenset(json.loads(metadata[_WHOLE])),
    )

"""`embeddings/<model>/`: what a model makes of every sample of a data set, and how well its sentence fits it.

    head.json                 the sha256 of model and manifest, the width D, and how the rest was made; written first
    train-00000.parquet …     a table a shard, `<split>-<shard>`: manifests.schema.EMBEDDED, and `video` and `text`,
                              float16 [D]

A sample that could not be read has no row. Scores of two models (`hdvila-train crossfit`) have D = 0 and no vectors.
The folder lies in the data set's directory, so that a removed video's rows go with it, or anywhere else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import DamagedFile, UserError
from manifests.files import Files
from manifests.parquet import parquet_bytes, read_parquet
from manifests.schema import EMBEDDED
from manifests.shards import MAX_SHARD_ROWS, Manifest, ShardEntry, lineage

EMBEDDINGS = "embeddings"
"""The folder in a data set's directory, with one for each model."""
HEAD, KIND = "head.json", "hdvila-embeddings"
SCORES = tuple(name for name in EMBEDDED.names if name != "key")
"""Columns of a table that `data.where` can use."""
_MAX_WIDTH = 65_536


@dataclass(frozen=True, slots=True)
class Head:
    """What a folder of embeddings was made of: tables of two different heads never lie in one."""

    model: str
    """The sha256 of the model's weights, vocabulary and views."""
    manifest: str
    """The sha256 of the data set's manifest.json."""
    width: int
    """D; 0 for scores alone."""
    batch: int
    """Samples that the model was given at once."""
    sentences: int
    """Other sentences that a clip's own was compared with, at most."""
    kind: str = KIND
    schema_version: int = 1

    def as_bytes(self) -> bytes:
        """The content of head.json."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n"


def put_head(files: Files, head: Head) -> None:
    """Begins a folder of embeddings, or goes on with it. UserError if it holds others."""
    if files.create(HEAD, head.as_bytes()):
        return
    there = read_head(files)
    if other := [name for name, value in asdict(head).items() if getattr(there, name) != value]:
        said = ", ".join(f"{name} {str(getattr(there, name))[:12]}" for name in other)
        raise UserError(f"{files.url}: holds embeddings of another kind ({said}); give another folder")


def read_head(files: Files) -> Head:
    """Reads head.json. UserError if there is none, or it is no such file."""
    try:
        document = json.loads(files.read(HEAD))
        head = Head(**document)
        if head.kind != KIND or not 0 <= int(head.width) < _MAX_WIDTH:
            raise ValueError(f"kind {str(head.kind)[:40]!r}, width {str(head.width)[:20]}")
    except FileNotFoundError:
        raise UserError(f"{files.url}: no {HEAD}; is this a folder of `hdvila-train embed`?") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedFile(f"{files.url}/{HEAD}: is no head of embeddings ({str(error)[:100]})") from None
    return head


def refuse_other_manifest(head: Head, manifest: Manifest, where: str, **storage_options: Any) -> None:
    """Raises UserError if embeddings are not of this manifest, nor of one that it was made from."""
    if head.manifest != manifest.sha256 and head.manifest not in lineage(manifest, **storage_options):
        raise UserError(
            f"{where}: embeddings of manifest {head.manifest[:12]}, and {manifest.root} has {manifest.sha256[:12]}; "
            "embed it, or name the folder that belongs to it"
        )


def table_name(shard: ShardEntry) -> str:
    """The name of a shard's table."""
    return f"{shard.split}-{PurePosixPath(shard.url).stem}.parquet"


def schema_of(width: int) -> pa.Schema:
    """The columns of a table whose embeddings are this wide; of a table of scores for 0."""
    if not width:
        return EMBEDDED
    vector = pa.list_(pa.float16(), width)
    return pa.schema([*EMBEDDED, pa.field("video", vector), pa.field("text", vector)])


def table_bytes(
    shard: ShardEntry,
    head: Head,
    rows: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
    *vectors_of: npt.NDArray[np.float16],
) -> bytes:
    """A shard's table as a file; `vectors_of` are `video` and `text`, [n, D], or nothing for scores alone. Equal input
    gives equal bytes.
    """
    vectors = [pa.FixedSizeListArray.from_arrays(pa.array(both.ravel()), head.width) for both in vectors_of]
    arrays = [pa.array(rows[field.name], field.type) for field in EMBEDDED]
    table = pa.Table.from_arrays([*arrays, *vectors], schema=schema_of(head.width))
    return parquet_bytes(table.replace_schema_metadata(_made_of(shard, head)))


def _made_of(shard: ShardEntry, head: Head) -> dict[str, str]:
    return {"hdvila_model": head.model, "hdvila_shard": shard.url}


@dataclass(frozen=True, slots=True)
class Embedded:
    """A shard's table. `video` and `text` are views of its buffers, [n, D]; empty where they were not asked for."""

    rows: pa.Table
    video: npt.NDArray[np.float16]
    text: npt.NDArray[np.float16]


def read_embedded(files: Files, head: Head, shard: ShardEntry, *, vectors: bool = True) -> Embedded:
    """Reads a shard's table. UserError if it is missing, of another model or width, or has what is no number."""
    name = table_name(shard)
    try:
        data = files.read(name)
    except FileNotFoundError:
        raise UserError(f"{files.url}/{name}: is missing; run `hdvila-train embed` again") from None
    where = f"{files.url}/{name}"
    table = read_parquet(data, schema_of(head.width) if vectors else EMBEDDED, where, max_rows=MAX_SHARD_ROWS)
    made_of = {key.decode(): value.decode(errors="replace") for key, value in _metadata(data).items()}
    if wrong := [key for key, value in _made_of(shard, head).items() if made_of.get(key) != value]:
        raise UserError(f"{where}: is of another {wrong[0].removeprefix('hdvila_')}; delete it and embed again")
    video, text = (_matrix(table, column, head.width) for column in ("video", "text"))
    numbers = [table[name].to_numpy() for name in SCORES] + [video, text]
    if not all(np.isfinite(column).all() for column in numbers):
        raise DamagedFile(f"{where}: holds a number that is not finite; delete it and embed again")
    return Embedded(table.select(EMBEDDED.names), video, text)


class Scores:
    """The score tables in a folder or at an address, for expressions over a data set's rows. UserError for no head."""

    def __init__(self, url: str, **storage_options: Any) -> None:
        self._options = dict(storage_options) if "://" in url else {}
        self._files = Files(url.rstrip("/"), tuple(self._options.items()))
        self.head = read_head(self._files)

    def refuse_others(self, manifest: Manifest, shards: Sequence[ShardEntry]) -> None:
        """Raises UserError if they are not of this data set, or one of these shards has no table."""
        refuse_other_manifest(self.head, manifest, self._files.url, **self._options)
        there = set(self._files.names(""))
        if lost := [name for name in map(table_name, shards) if name not in there]:
            raise UserError(f"{self._files.url}: {len(lost)} tables are missing, the first is {lost[0]}; embed again")

    def of(self, shard: ShardEntry) -> pa.Table:
        """A shard's scores (EMBEDDED), checked as `read_embedded` does."""
        return read_embedded(self._files, self.head, shard, vectors=False).rows

    def embedded(self, shard: ShardEntry) -> Embedded:
        """A shard's embeddings."""
        return read_embedded(self._files, self.head, shard)

    @staticmethod
    def added(rows: pa.Table, scores: pa.Table) -> pa.Table:
        """The rows with the scores of their keys; null for a sample without."""
        at = pc.index_in(rows["key"].combine_chunks(), scores["key"].combine_chunks())
        for name in SCORES:
            rows = rows.append_column(name, scores[name].combine_chunks().take(at))
        return rows


def _metadata(data: bytes) -> Mapping[bytes, bytes]:
    return pq.read_schema(pa.BufferReader(data)).metadata or {}


def _matrix(table: pa.Table, column: str, width: int) -> npt.NDArray[np.float16]:
    if column not in table.column_names or not table.num_rows:
        return np.zeros((0, width), np.float16)
    values = table[column].combine_chunks().flatten()
    return np.asarray(values.to_numpy(zero_copy_only=True).reshape(-1, width))

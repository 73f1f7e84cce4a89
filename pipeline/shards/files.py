"""The three files of one shard, joined from existing samples byte for byte.

    00000.tar           the samples
    00000.parquet       manifests.schema.SHARD_ROWS: a row per clip tried, including failed ones
    00000_stats.json    counts by reason, checksums; written last, so its presence means that the shard is complete

It makes no difference whether a sample comes from a pack (pipeline.shards.stage) or another shard (merge, reshard,
remove).
"""

import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from manifests.clip_status import ClipStatus
from manifests.errors import DamagedFile, UserError, is_of_the_place
from manifests.parquet import parquet_bytes
from manifests.rows import ShardRow
from manifests.schema import SHARD_ROWS, table_of
from manifests.seals import sealed
from manifests.shards import ShardEntry, member_offsets, recorded_in, rows_of_shard
from manifests.tars import BLOCK
from pipeline.engine.store.store import Store
from pipeline.media.packs import END, PackedSample, index_pack

SUCCESS = ClipStatus.SUCCESS.in_shards
FAILED = ClipStatus.FAILED.in_shards
"""video2dataset's word for a clip that was tried and not made."""

BATCH_BYTES = 64 * 1024**2
"""How much is read at a time: one request per sample, several at once if the store can."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A row of a new shard, and its sample's location: `sample.bytes_` bytes at `sample.offset` of `tar` in `store`.

    `row` is a row of SHARD_ROWS, with `members`, and what its KEY.json says, not set yet. A failed clip has no sample.
    """

    row: ShardRow
    store: Store | None = None
    tar: str = ""
    sample: PackedSample | None = None


class DamagedSample(DamagedFile):
    """The bytes at a sample's offset are not that sample. The message names the data set, the tar and the reason."""

    def __init__(self, piece: Piece, reason: str) -> None:
        at = f"{piece.store.url}/{piece.tar}" if piece.store else piece.tar
        super().__init__(f"{at}: {piece.row['key']}: {reason}")
        self.piece = piece


def sample_of_row(row: ShardRow) -> PackedSample:
    """The location of a row's sample in its shard, from `members` alone. Raises DamagedFile if they are not offsets."""
    absolute = member_offsets(row["members"])
    if not absolute:
        raise DamagedFile(f"{row['key']}: a sample without members")
    start = min(at for at, _ in absolute.values()) - BLOCK
    end = max(at + size + -size % BLOCK for at, size in absolute.values())
    members = {extension: (at - start, size) for extension, (at, size) in absolute.items()}
    return PackedSample(row["key"], start, end - start, members)


def pieces_of(store: Store, entry: ShardEntry) -> list[Piece]:
    """The rows of a shard, each with where its sample lies. DamagedFile for rows that name places outside the tar."""
    try:
        n_bytes = store.size(entry.url)
    except FileNotFoundError:
        raise DamagedFile(f"{store.url}/{entry.url}: named in the manifest but missing; restore it") from None
    pieces = []
    for row in read_rows(store, entry.url).to_pylist():
        try:
            sample = sample_of_row(row) if row["status"] == SUCCESS else None
        except DamagedFile as error:
            raise DamagedFile(f"{store.url}/{entry.url}: {error}") from None
        if sample and not 0 <= sample.offset <= n_bytes - sample.bytes_:
            raise DamagedFile(
                f"{store.url}/{entry.url}: {row['key']!r}: its row names a place outside the tar; restore it"
            )
        pieces.append(Piece(row, store, entry.url, sample) if sample else Piece(row))
    return pieces


def clip_number(row: ShardRow, url: str) -> int:
    """The n of a row's clip, from its clip_id. Raises DamagedFile, with the data set's url, if it has none."""
    number = row["clip_id"].rpartition(".")[2]
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise DamagedFile(f"{url}: {row['key']!r}: clip_id {row['clip_id'][:80]!r} does not end with a number")
    return int(number)


def join_shard(pieces: Sequence[Piece], folder: Path, *, url: str, split: str, generation: int) -> ShardEntry:
    """Writes the shard's three files into `folder` (names from `url`) and returns its manifest entry.

    Samples are in the order of `pieces`. The same pieces give the same bytes. Raises DamagedSample.
    """
    tar, rows, stats = (folder / Path(name).name for name in shard_files(url))
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    done: list[ShardRow] = []
    with tar.open("wb") as out:

        def write(data: bytes) -> None:
            out.write(data)
            sha256.update(data)
            md5.update(data)

        for piece, data in _read_samples(pieces):
            done.append(cast(ShardRow, {**piece.row, **_recorded_in(piece, data), "members": _members_at(piece, out)}))
            write(data)
        write(END)
    table = table_of(done, SHARD_ROWS)
    rows.write_bytes(parquet_bytes(table))
    entry = entry_of(table, url, split, generation, sha256.hexdigest(), md5.hexdigest(), tar.stat().st_size)
    stats.write_bytes(stats_bytes(entry, table))
    return entry


def shard_files(url: str) -> tuple[str, str, str]:
    """(tar, parquet, stats) for a shard's url, in the order in which they are committed."""
    stem = url.removesuffix(".tar")
    return url, f"{stem}.parquet", f"{stem}_stats.json"


def _members_at(piece: Piece, out: BinaryIO) -> str:
    start = out.tell()
    members = piece.sample.members if piece.sample else {}
    return json.dumps({extension: [start + at, size] for extension, (at, size) in members.items()})


def _recorded_in(piece: Piece, data: bytes) -> dict[str, Any]:
    at, size = piece.sample.members.get("json", (0, 0)) if piece.sample else (0, 0)
    return recorded_in(data[at : at + size])


def _read_samples(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, bytes]]:
    for batch in _batches(pieces):
        data_of = _read_batch([piece for piece in batch if piece.sample])
        for piece in batch:
            data = data_of.get(piece.row["key"], b"")
            try:
                _check_sample(piece, data)
            except DamagedSample:
                data = _read_alone(piece)
                _check_sample(piece, data)
            yield piece, data


def _batches(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    n_bytes = 0
    for piece in pieces:
        size = piece.sample.bytes_ if piece.sample else 0
        if batch and n_bytes + size > BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
        batch.append(piece)
        n_bytes += size
    if batch:
        yield batch


def _read_batch(pieces: Sequence[Piece]) -> dict[str, bytes]:
    by_store: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_store.setdefault(piece.store.url if piece.store else "", []).append(piece)
    data_of: dict[str, bytes] = {}
    for same in by_store.values():
        data_of.update(_read_from_one_store(same))
    return data_of


def _read_from_one_store(pieces: Sequence[Piece]) -> dict[str, bytes]:
    """The bytes of each sample; none where nothing is."""
    store = pieces[0].store
    assert store is not None
    samples = [piece.sample for piece in pieces if piece.sample]
    paths = [store.path(piece.tar) for piece in pieces]
    starts, ends = [s.offset for s in samples], [s.offset + s.bytes_ for s in samples]
    answers = store.fs.cat_ranges(paths, starts, ends, on_error="return")
    return {piece.row["key"]: _bytes_of(answer) for piece, answer in zip(pieces, answers, strict=True)}


def _bytes_of(answer: bytes | Exception) -> bytes:
    if isinstance(answer, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return b""
    if isinstance(answer, Exception):
        raise answer
    return bytes(answer)


def _read_alone(piece: Piece) -> bytes:
    """A sample's bytes, once more: a store may have answered late, or a bit have flipped on the way."""
    assert piece.store is not None and piece.sample is not None
    try:
        return piece.store.read_range(piece.tar, piece.sample.offset, piece.sample.offset + piece.sample.bytes_)
    except FileNotFoundError:
        raise DamagedSample(piece, "no such file") from None
    except (IsADirectoryError, NotADirectoryError):
        raise DamagedSample(piece, "is a folder, not a file") from None


def _check_sample(piece: Piece, data: bytes) -> None:
    """Refuses a range that is short, does not hold this sample, header by header, or whose checksum, if it is known, is
    wrong, so that no shard gets it.
    """
    if piece.sample is None:
        return
    if len(data) != piece.sample.bytes_:
        raise DamagedSample(piece, f"{len(data)} of {piece.sample.bytes_} bytes are there")
    name = data[:100].partition(b"\0")[0].decode("ascii", "replace")
    if name.partition(".")[0] != piece.row["key"]:
        raise DamagedSample(piece, f"{name!r} is at its offset")
    try:
        found = list(index_pack(io.BytesIO(data)))
    except UserError as error:
        raise DamagedSample(piece, str(error)) from None
    if found != [replace(piece.sample, offset=0)]:
        raise DamagedSample(piece, "its members are not where its row says")
    if piece.sample.crc >= 0 and zlib.crc32(data) != piece.sample.crc:
        raise DamagedSample(piece, "its checksum is wrong")


def entry_of(table: pa.Table, url: str, split: str, generation: int, sha256: str, md5: str, bytes_: int) -> ShardEntry:
    """Makes the manifest entry of a shard from its rows."""
    samples = [row for row in _light(table) if row["status"] == SUCCESS]
    categories = Counter(row["category_id"] for row in samples)
    hours = sum(row["duration_ms"] for row in samples) / 3_600_000
    return ShardEntry(
        url, split, generation, sha256, md5, bytes_, len(samples), hours, dict(sorted(categories.items()))
    )


def _light(table: pa.Table) -> list[ShardRow]:
    rows: list[ShardRow] = table.select(["status", "reason", "category_id", "duration_ms"]).to_pylist()
    return rows


def stats_bytes(entry: ShardEntry, table: pa.Table) -> bytes:
    """Makes `_stats.json`: the keys of video2dataset and img2dataset, reason codes in `status_dict`, and the entry.

    Times are the clips' durations and not a clock's, so that the same shard gives the same file.
    """
    rows = _light(table)
    statuses = Counter(row["reason"] or row["status"] for row in rows)
    seconds = round(entry.hours * 3600, 3)
    document = {
        "count": len(rows),
        "successes": entry.nsamples,
        "failed_to_download": 0,
        "failed_to_subsample": len(rows) - entry.nsamples,
        "failed_to_resize": 0,
        "bytes_downloaded": 0,
        "duration": seconds,
        "start_time": 0.0,
        "end_time": seconds,
        "status_dict": dict(sorted(statuses.items())),
        "shard": entry.row(),
    }
    return sealed(json.dumps(document, indent=1, sort_keys=True).encode())


def put_shard(store: Store, folder: Path, url: str) -> None:
    """Puts a shard's finished files from `folder` in place: tar, rows, stats."""
    for name in shard_files(url):
        store.put(folder / Path(name).name, name)


def read_rows(store: Store, url: str, columns: list[str] | None = None) -> pa.Table:
    """Reads the rows of a shard. Raises UserError if they are missing or unreadable."""
    name = shard_files(url)[1]
    try:
        data = store.read(name)
    except OSError as error:
        if is_of_the_place(error):
            raise
        raise DamagedFile(f"{store.url}/{name}: rows of a shard cannot be read ({error}); restore the file") from None
    return rows_of_shard(data, f"{store.url}/{name}", columns)

"""Parquet files with checksums, and how untrusted ones are read: one message for an unreadable file, sizes limited.

Every file written here has a checksum in each page and, in twelve bytes before the footer, where other readers do not
look, two that Parquet itself does not have. That of the footer is verified by every reader: a flipped byte is found
before a number of the file is used. That of all bytes before it is for `is_whole`, which reads the file through.

A file of 6 KB can expand to gigabytes: a column with one long text, a hundred million times. So of a file of strangers
rows are counted from the footer, texts stay dictionary-encoded while they are decoded, and the decoded size is added up
batch by batch.
"""

import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import DamagedFile, is_of_the_place

MAX_DECODED_BYTES = 256 * 1024**2
"""Most bytes of one file's decoded texts and numbers."""
MAX_STORED_BYTES = 1024**3
"""Most bytes of one file's pages before decoding."""
PLAIN = {"compression": "none", "use_dictionary": False, "write_statistics": False}
"""Options for a small file that is soon merged: most of its cost is per column, and these cut that to a third."""
BATCH_ROWS = 16_384
_THRIFT_BYTES, _THRIFT_ITEMS = 64 * 1024**2, 1_000_000
"""Limits of the footer's own strings and lists."""
_SEAL, _SEAL_BYTES = b"crc:", 12
"""What the two checksums begin with; their size with this beginning."""
_BLOCK_BYTES = 1 << 22
_END_BYTES = 8
"""A Parquet file ends with the footer's length and "PAR1", four bytes each."""
_TAIL_BYTES = 64 * 1024
"""What Arrow reads of a file's end at first: the same read, so that a buffered file is asked once."""


def parquet_bytes(table: pa.Table, **options: Any) -> bytes:
    """A table as a Parquet file with checksums. `options`: of pyarrow's `write_table`."""
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True, **{"compression": "zstd", **options})
    _seal(sink)
    return sink.getvalue()


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """A writer of a Parquet file with checksums, row group by row group; the file is whole at the end of the block."""
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True, **options) as writer:
        yield writer
    with path.open("r+b") as file:
        _seal(file)


def _seal(file: IO[bytes]) -> None:
    """Puts the checksums before the footer."""
    file.seek(-_END_BYTES, io.SEEK_END)
    start = file.seek(-_END_BYTES - _footer_bytes(file.read()), io.SEEK_END)
    footer = file.read()
    body = _crc_of(file, start)
    file.seek(start)
    file.write(_SEAL + body + _crc(footer) + footer)


def is_whole(file: IO[bytes]) -> bool:
    """Whether an open file, which was written here, is byte for byte as it was written."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_BYTES))
    end = file.read()
    start = size - _END_BYTES - _footer_bytes(end) - _SEAL_BYTES
    if start < 0 or end[-4:] != b"PAR1":
        return False
    file.seek(start)
    seal, footer = file.read(_SEAL_BYTES), file.read()
    return seal == _SEAL + _crc_of(file, start) + _crc(footer)


def _crc_of(file: IO[bytes], size: int) -> bytes:
    """The checksum of a file's first bytes."""
    file.seek(0)
    crc = 0
    while size and (block := file.read(min(size, _BLOCK_BYTES))):
        crc, size = zlib.crc32(block, crc), size - len(block)
    return crc.to_bytes(4, "little")


def open_parquet(source: bytes | IO[bytes], *, is_foreign: bool = False, **options: Any) -> pq.ParquetFile:
    """Opens a Parquet file whose checksums are verified: the footer's here, each page's when it is read.

    `is_foreign`: another program may have written it, so that it need have none. `options`: of pyarrow's `ParquetFile`.
    ArrowException, OSError or ValueError for a damaged file, also from the methods of what is returned.
    """
    file = pa.BufferReader(source) if isinstance(source, bytes) else source
    _verify_footer(file, is_foreign)
    return pq.ParquetFile(file, page_checksum_verification=True, **options)


def _verify_footer(file: IO[bytes], is_foreign: bool) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    wanted = _SEAL_BYTES + _END_BYTES + _footer_bytes(tail)
    if wanted > len(tail):
        file.seek(max(0, size - wanted))
        tail = file.read()
    seal, footer = tail[-wanted : _SEAL_BYTES - wanted], tail[_SEAL_BYTES - wanted :]
    if (seal[:4], seal[-4:]) != (_SEAL, _crc(footer)) and not (is_foreign and not seal.startswith(_SEAL)):
        raise pa.ArrowInvalid("the checksum of its footer is wrong")


def _footer_bytes(end: bytes) -> int:
    return int.from_bytes(end[-_END_BYTES : -_END_BYTES // 2], "little")


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")


@contextmanager
def damage_named(where: str, cure: str = "restore the file") -> Iterator[None]:
    """Inside the block an unreadable Parquet file is a DamagedFile with its name, what is wrong and the cure."""
    try:
        yield
    except (DamagedFile, FileNotFoundError):
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        if is_of_the_place(error):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise DamagedFile(f"{where}: is not a Parquet table ({reason}); {cure}") from None


def read_parquet(
    data: bytes,
    schema: pa.Schema,
    where: str,
    *,
    max_rows: int,
    max_bytes: int = MAX_DECODED_BYTES,
    absent: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Reads the columns of `schema` from an untrusted Parquet file. DamagedFile names `where` and what is wrong.

    `absent`: by column, its value in every row of a file that lacks it.
    """
    with damage_named(where):
        there = schema
        if absent:
            names = open_parquet(data, is_foreign=True).schema_arrow.names
            there = pa.schema([field for field in schema if field.name in names or field.name not in absent])
        table = _read(data, there, max_rows, max_bytes)
        for field in schema:
            if field.name not in there.names:
                values = pa.repeat(pa.scalar((absent or {})[field.name], field.type), table.num_rows)
                table = table.append_column(field, values)
        return table.select(schema.names)


def _read(data: bytes, schema: pa.Schema, max_rows: int, max_bytes: int) -> pa.Table:
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    file = open_parquet(
        data,
        is_foreign=True,
        read_dictionary=texts,
        thrift_string_size_limit=_THRIFT_BYTES,
        thrift_container_size_limit=_THRIFT_ITEMS,
    )
    facts = file.metadata
    if not 0 <= facts.num_rows <= max_rows:
        raise ValueError(f"{facts.num_rows} rows, more than the {max_rows} that are read")
    if missing := [name for name in schema.names if name not in file.schema_arrow.names]:
        raise ValueError(f"no column {', '.join(missing)}")
    stored = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    if stored > MAX_STORED_BYTES:
        raise ValueError(f"{stored} bytes of pages, more than the {MAX_STORED_BYTES} that are read")
    batches, decoded, n_rows = [], 0, 0
    for batch in file.iter_batches(BATCH_ROWS, columns=schema.names):
        n_rows += batch.num_rows
        decoded += sum(_decoded_bytes(column) for column in batch.columns)
        if decoded > max_bytes or n_rows > max_rows:
            raise ValueError(f"its rows come to more than {max_bytes} bytes")
        batches.append(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
    table = pa.concat_tables(batches) if batches else schema.empty_table()
    for name in schema.names:
        if table.column(name).null_count:
            raise ValueError(f"column {name} holds a null")
    table.validate(full=True)
    return table


def _decoded_bytes(column: pa.Array) -> int:
    """The size in bytes of a column's values, written out in a row."""
    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    sizes = pc.fill_null(pc.binary_length(column.dictionary), 0)
    return int(pc.sum(sizes.take(column.indices)).as_py() or 0) + 4 * len(column)

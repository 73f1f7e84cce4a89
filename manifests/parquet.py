"""Reads untrusted Parquet files: sizes are limited before reading; an unreadable file gives a single message.

A file of 6 KB can expand to gigabytes: a column with one long text, a hundred million times. So rows are counted from
the footer, texts stay dictionary-encoded while they are decoded, and the decoded size is added up batch by batch.
"""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import DamagedFile

MAX_DECODED_BYTES = 256 * 1024**2
"""Most bytes of one file's decoded texts and numbers."""
MAX_STORED_BYTES = 1024**3
"""Most bytes of one file's pages before decoding."""
BATCH_ROWS = 16_384
_THRIFT_BYTES, _THRIFT_ITEMS = 64 * 1024**2, 1_000_000
"""Limits of the footer's own strings and lists."""


def read_parquet(
    data: bytes, schema: pa.Schema, where: str, *, max_rows: int, max_bytes: int = MAX_DECODED_BYTES
) -> pa.Table:
    """Reads the columns of `schema` from a Parquet file. DamagedFile names `where` and what is wrong with it."""
    try:
        return _read(data, schema, max_rows, max_bytes)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise DamagedFile(f"{where}: cannot be read as a table ({reason}); restore the file") from None


def _read(data: bytes, schema: pa.Schema, max_rows: int, max_bytes: int) -> pa.Table:
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    file = pq.ParquetFile(
        pa.BufferReader(data),
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

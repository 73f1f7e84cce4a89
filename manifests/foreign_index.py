"""An index file as a stranger may have written it: what is in it is checked before anything is read by it.

Arrow believes a file that it maps: ends of texts that lie elsewhere read other memory or end the process, and a
compressed column asks for any amount of it. So a file has one record batch, uncompressed, of the columns that ours
have, validated in full. That each member lies in the tar of its shard is for `sample_index` to see.
"""

import struct
from itertools import islice
from pathlib import Path

import pyarrow as pa

from manifests.sample import is_extension

_MAGIC = b"ARROW1\0\0"
"""What a file begins with; messages follow as in a stream."""
_FIXED = {"key": pa.large_string(), "shard": pa.int32(), "category_id": pa.int32()}
_SIZE = "_bytes"


def map_batch(path: Path) -> pa.RecordBatch | None:
    """The only record batch of a file, mapped; None if it has none, or several.

    ValueError, OSError or pa.ArrowException for a file that is damaged or not an index.
    """
    data = pa.memory_map(str(path), "r").read_buffer()
    if data.slice(0, len(_MAGIC)).to_pybytes() != _MAGIC:
        raise ValueError("it is no Arrow file")
    messages = list(islice(pa.ipc.MessageReader.open_stream(data.slice(len(_MAGIC))), 3))
    if [message.type for message in messages] != ["schema", "record batch"]:  # read as another it ends the process
        return None
    schema = pa.ipc.read_schema(messages[0])
    _refuse_other_columns(schema)
    if _is_compressed(messages[1].metadata.to_pybytes()):
        raise ValueError("its columns are compressed")
    batch = pa.ipc.read_record_batch(messages[1], schema)
    batch.validate(full=True)
    return batch


def _refuse_other_columns(schema: pa.Schema) -> None:
    extensions = [name.removesuffix(_SIZE) for name in schema.names if name.endswith(_SIZE)]
    wanted = _FIXED | {name: pa.int64() for e in extensions for name in (e, f"{e}{_SIZE}")}
    kinds = dict(zip(schema.names, schema.types, strict=True))
    if kinds != wanted or len(kinds) != len(schema.names) or not all(map(is_extension, extensions)):
        raise ValueError("its columns are not those of an index")


def _is_compressed(message: bytes) -> bool:
    """Whether a record batch's message names a compression: the fourth field of its header.

    pyarrow does not tell, and decompresses at once. A flatbuffer's table begins with the distance back to its list of
    fields, which has two sizes and then where each field lies in the table, 0 for those that it lacks.
    """
    try:
        (root,) = struct.unpack_from("<I", message)
        header = root + _field(message, root, 2)
        header += struct.unpack_from("<I", message, header)[0]
        return _field(message, header, 3) != 0
    except struct.error:
        raise ValueError("its record batch has no header") from None


def _field(message: bytes, table: int, number: int) -> int:
    fields = table - struct.unpack_from("<i", message, table)[0]
    at = 4 + 2 * number
    size = struct.unpack_from("<H", message, fields)[0]
    return int(struct.unpack_from("<H", message, fields + at)[0]) if at < size else 0

"""An index file with any byte changed is refused or read, and ends nothing. Whole attacks: tests/train/data."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa

from manifests.foreign_index import map_batch
from manifests.sample_index import columns_of_rows, write_index

KIND = 37
"""The byte of the file that says what its first message is."""


def test_no_byte_of_its_head_ends_the_process(tmp_path: Path) -> None:
    path = tmp_path / "index.arrow"
    texts = ['{"json": [512, 9], "mp4": [1024, 100]}'] * 3
    rows = {
        "key": ["a_00000", "a_00001", "a_00002"],
        "status": ["success"] * 3,
        "category_id": [1] * 3,
        "members": texts,
    }
    write_index(columns_of_rows(pa.table(rows)), path, "0" * 64)
    whole = path.read_bytes()
    assert map_batch(path).column("key").to_pylist() == rows["key"]

    assert whole[KIND] == 1, "a schema"
    of_no_kind = whole[:KIND] + b"\0" + whole[KIND + 1 :]  # which Arrow does not verify
    for data, bytes_ in ((whole, range(8, 60)), (of_no_kind, range(60, 1000, 4))):
        for at in bytes_:
            path.write_bytes(data[:at] + b"\x80" + data[at + 1 :])
            with contextlib.suppress(OSError, ValueError, pa.ArrowException):
                batch = map_batch(path)
                assert batch is None or batch.num_rows == 3

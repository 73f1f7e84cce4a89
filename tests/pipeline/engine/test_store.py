"""The store on a disk: what has a final name is whole, and on the disk."""

import os
from pathlib import Path

import pytest

from pipeline.engine.store import Store


class Disk:
    """Watches os.fsync: (inode, bytes, whether the final name was taken yet) of each call."""

    def __init__(self, final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[tuple[int, int, bool]] = []
        flush = os.fsync

        def fsync(file: int) -> None:
            facts = os.fstat(file)
            self.synced.append((facts.st_ino, facts.st_size, final.exists()))
            flush(file)

        monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("way", ["write", "put"])
def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    store, final = Store(str(tmp_path / "out")), tmp_path / "out" / "a" / "file"
    source = tmp_path / "source"
    source.write_bytes(b"whole")
    disk = Disk(final, monkeypatch)

    if way == "write":
        store.write("a/file", b"whole")
    else:
        store.put(source, "a/file")

    assert (final.stat().st_ino, len(b"whole"), False) in disk.synced
    assert final.read_bytes() == b"whole" and [f.name for f in final.parent.iterdir()] == ["file"]

"""Files on a disk: whole or not at all, and none outside the folder."""

import errno
import io
import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from manifests.errors import DamagedFile
from manifests.files import ROWS_A_GROUP, Files
from manifests.seals import is_sealed


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "a\0b"])
def test_no_name_leads_out_of_the_folder(files: Files, name: str) -> None:
    for ask in (files.read, files.size, files.exists, files.open):
        with pytest.raises(DamagedFile, match="leads outside"):
            ask(name)
    with pytest.raises(DamagedFile):
        files.write(name, b"x")


def test_replacing_a_file_empties_no_file_that_a_link_of_the_guards_name_leads_to(files: Files, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"somebody's")
    files.write("run.lock", b"old")
    Path(files.path(".tmp-run.lock.guard")).symlink_to(tmp_path / "other")

    assert files.replace("run.lock", b"new", seen=b"old") and files.read("run.lock") == b"new"
    assert (tmp_path / "other").read_bytes() == b"somebody's"


def test_a_full_disk_leaves_no_half_file_of_one_that_was_to_be_created(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        files.create("run.lock", b"{}")
    assert not list(Path(files.root).iterdir())


def test_what_is_written_is_listed_and_read_back_and_a_half_is_not_seen(files: Files) -> None:
    files.write("a/b.json", json.dumps({"n": 1}).encode())
    files.write("a/c.bin", bytes(range(100)))
    Path(files.path("a/.tmp-left")).write_bytes(b"half")

    assert (files.names("a"), files.folders(""), files.names("nowhere")) == (["b.json", "c.bin"], ["a"], [])
    assert (files.read_json("a/b.json"), files.size("a/c.bin")) == ({"n": 1}, 100)
    assert files.read_range("a/c.bin", 10, 13) == bytes([10, 11, 12])
    files.write("a/b.json", b"{")
    with pytest.raises(DamagedFile, match="is not valid JSON"):
        files.read_json("a/b.json")
    with pytest.raises(DamagedFile, match="folder"):
        files.open("a")


def test_a_file_is_on_the_disk_before_it_has_its_name(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []

    def fsync(handle: int) -> None:
        events.append(("on the disk", os.fstat(handle).st_size))

    def replace(path: Path, target: Path) -> Path:
        events.append((f"named {target.name}", path.stat().st_size))
        return path.rename(target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    (tmp_path / "local").write_bytes(b"12345")

    files.write("a/b", b"123")
    files.put(tmp_path / "local", "c/d")

    assert events == [("on the disk", 3), ("named b", 3), ("on the disk", 5), ("named d", 5)]
    assert (files.read("a/b"), files.read("c/d")) == (b"123", b"12345")
    assert files.sweep() == 0, "nothing is left beside them"


@pytest.mark.parametrize("write", ["write", "put"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    (tmp_path / "local").write_bytes(b"new")
    files.write("a", b"old")
    (Path(files.root) / "folder").mkdir()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DamagedFile, match="is a folder, not a file; remove it"):
        files.write("folder", b"new") if write == "write" else files.put(tmp_path / "local", "folder")
    with pytest.raises(DamagedFile, match="is a folder, not a file; remove it"):
        files.delete("folder")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write("a", b"new") if write == "write" else files.put(tmp_path / "local", "a")

    assert files.read("a") == b"old"
    assert [path.name for path in Path(files.root).iterdir() if path.is_file()] == ["a"]


def test_a_file_from_another_file_system_is_copied(files: Files) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        local = Path(memory) / "local"
        local.write_bytes(b"finished")
        files.put(local, "a")
    assert files.read("a") == b"finished"
    assert files.sweep() == 0


def bucket() -> Files:
    """A store that is no disk's: one in memory."""
    return Files(f"memory://{uuid.uuid4().hex}")


@pytest.fixture(params=["disk", "bucket"])
def either(request: pytest.FixtureRequest, files: Files) -> Files:
    return files if request.param == "disk" else bucket()


def test_a_file_is_created_once_and_replaced_only_as_it_was_seen(either: Files) -> None:
    assert either.create("deep/lock", b"first") and not either.create("deep/lock", b"second")
    assert either.read("deep/lock") == b"first"
    assert not either.replace("deep/lock", b"third", seen=b"second")
    assert either.read("deep/lock") == b"first"
    assert either.replace("deep/lock", b"third", seen=b"first")
    assert either.read("deep/lock") == b"third"
    assert not either.replace("deep/none", b"third", seen=b"first") and not either.exists("deep/none")
    assert either.names("deep") == ["lock"]


def test_files_are_written_copied_and_deleted_in_both_kinds_of_store(either: Files, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"copied")
    either.write("a/written", b"written")
    either.put(tmp_path / "local", "a/put")
    either.write_table("a/table.parquet", pa.table({"n": [1, 2]}))

    assert (either.read("a/written"), either.read("a/put")) == (b"written", b"copied")
    assert pq.read_table(io.BytesIO(either.read("a/table.parquet"))).column("n").to_pylist() == [1, 2]
    either.delete("a/put")
    either.delete("a/put")
    assert either.names("a") == ["table.parquet", "written"] and not either.exists("a/put")
    with either.open("a/written") as file:
        assert file.read() == b"written"


def test_a_table_has_row_groups_of_which_one_can_be_read_alone(files: Files) -> None:
    files.write_table("table.parquet", pa.table({"n": np.arange(2 * ROWS_A_GROUP + 1)}))

    table = pq.ParquetFile(io.BytesIO(files.read("table.parquet")))
    assert table.num_row_groups == 3 and table.read_row_group(2).column("n").to_pylist() == [2 * ROWS_A_GROUP]


def test_json_is_the_same_bytes_for_the_same_value_and_a_person_can_read_it(files: Files) -> None:
    files.write_json("a.json", {"b": ["é"], "a": 1})

    assert files.read("a.json").decode().startswith('{\n "a": 1,\n "b": [\n  "é"\n ]\n}\n')
    assert is_sealed(files.read("a.json"))


def test_what_a_killed_run_left_is_swept_and_a_bucket_has_none(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.sweep() == 0, "there is no folder yet"
    assert bucket().sweep() == 0
    files.write("deep/a", b"a")
    left = Path(files.path("deep/.tmp-0123"))
    left.write_bytes(b"half")

    assert files.sweep() == 1 and not left.exists() and files.read("deep/a") == b"a"
    monkeypatch.setattr(Path, "rglob", lambda path, pattern: [left])  # gone since it was listed
    assert files.sweep() == 1


class Listed(MemoryFileSystem):
    """A bucket whose listings are old until its cache is given up."""

    protocol, cachable = "listed", False
    is_old = True

    def invalidate_cache(self, path: str | None = None) -> None:
        self.is_old = False

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        return [] if self.is_old else super().ls(path, detail, **more)

    def exists(self, path: str, **more: Any) -> bool:
        return not self.is_old and super().exists(path, **more)


def test_listings_never_come_from_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = bucket()
    store.write("a/b", b"1")
    for ask, seen in ((lambda: store.names("a"), ["b"]), (lambda: store.exists("a/b"), True)):
        store.__dict__["fs"] = Listed()
        assert ask() == seen

    asked: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(fsspec, "filesystem", lambda protocol, **options: asked.setdefault(protocol, options))
    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda protocol: MemoryFileSystem)  # gcsfs may not be here
    for url, options in (("s3://b", ()), ("file:///b", ()), ("gs://b", (("use_listings_cache", True),))):
        assert Files(url, options).fs is not None
    assert asked == {"s3": {"use_listings_cache": False}, "file": {}, "gs": {"use_listings_cache": True}}


class Tagged(MemoryFileSystem):
    """A bucket that knows what it holds by tags, and refuses a write over what it does not hold any more."""

    protocol, cachable = "tagged", False
    error: OSError | None = None
    asked: list[dict[str, Any]]

    def info(self, path: str, **more: Any) -> Any:
        return {**super().info(path, **more), "ETag": '"7"'}

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        self.asked.append(more)
        if self.error:
            raise self.error
        super().pipe_file(path, value, mode)


def test_a_bucket_replaces_only_what_has_the_tag_that_was_read() -> None:
    store = bucket()
    store.write("lock", b"first")
    store.__dict__["fs"] = fs = Tagged()
    fs.asked = []

    assert store.replace("lock", b"second", seen=b"first") and fs.asked == [{"IfMatch": '"7"'}]
    fs.error = OSError("An error occurred (PreconditionFailed) when calling PutObject")
    assert not store.replace("lock", b"third", seen=b"second")
    fs.error = OSError("failed")
    fs.error.__cause__ = RuntimeError("PreconditionFailed")
    assert not store.replace("lock", b"third", seen=b"second")
    fs.error = OSError("An error occurred (AccessDenied)")
    with pytest.raises(OSError, match="AccessDenied"):
        store.replace("lock", b"third", seen=b"second")
    assert store.read("lock") == b"second"


def test_a_folder_on_a_disk_is_listed_without_looking_at_its_files(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("t/part-b", "t/part-a", "t/pack-1", "t/part-folder/x", "t/.tmp-1"):
        files.write(name, b"")
    Path(files.path("t/part-link")).symlink_to(files.path("t/pack-1"))
    monkeypatch.setattr(files.fs, "info", lambda *of: pytest.fail("asked for the size of a file"))
    assert files.names("t", "part-") == ["part-a", "part-b"]
    assert files.names("t") == ["pack-1", "part-a", "part-b"] and files.folders("t") == ["part-folder"]
    assert files.names("nowhere") == files.folders("t/pack-1") == []

"""Files on a disk: whole or not at all, and none outside the folder."""

import json
import pickle
from pathlib import Path

import pytest

from manifests.errors import DamagedFile
from pipeline.engine.files import Files


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


def test_a_copy_that_travels_waits_for_no_outage() -> None:
    there = pickle.loads(pickle.dumps(Files("s3://bucket", (("key", "k"),), patience_s=60)))
    assert (there.url, there.options, there.patience_s) == ("s3://bucket", (("key", "k"),), 0.0)

"""manifest.json and manifest.parquet: read back as written, and refused with a reason when they cannot be trusted."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import UserError
from manifests.shards import ShardEntry, manifest_bytes, read_manifest, read_shard_rows, sizes_bytes, wids_bytes

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ENTRIES = st.lists(
    st.builds(
        ShardEntry,
        url=st.integers(0, 99999).map(lambda n: f"shards/train/{n:05d}.tar"),
        split=st.sampled_from(["train", "val", "test"]),
        generation=st.integers(0, 9),
        sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
        md5=st.text("0123456789abcdef", min_size=32, max_size=32),
        bytes_=st.integers(0, 2**40),
        nsamples=st.integers(0, 10**6),
        hours=st.floats(0, 1000),
        categories=st.dictionaries(st.integers(-1, 44), st.integers(0, 10**6), max_size=5),
    ),
    max_size=6,
)


def write(folder: Path, entries: list[ShardEntry], head: dict) -> None:
    document, table = manifest_bytes(entries, head)
    (folder / "manifest.json").write_bytes(document)
    (folder / "manifest.parquet").write_bytes(table)


@given(entries=ENTRIES, head=st.dictionaries(st.sampled_from(["name", "note", "balance"]), TEXTS))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(entries, head, tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifest")
    write(folder, entries, head)
    manifest = read_manifest(str(folder))
    assert list(manifest.shards) == entries
    assert {name: manifest.head[name] for name in head} == head
    assert manifest.head["totals"]["samples"] == sum(e.nsamples for e in entries)
    assert set(manifest.head["splits"]) == {e.split for e in entries}


@given(entries=ENTRIES)
@settings(max_examples=30, deadline=None)
def test_the_same_shards_give_the_same_bytes(entries):
    assert manifest_bytes(entries, {"name": "x"}) == manifest_bytes(list(entries), {"name": "x"})


ENTRY = ShardEntry("shards/val/00003.tar", "val", 0, "a" * 64, "b" * 32, 10, 2, 0.5, {27: 2})


def test_a_split_is_taken_by_its_name_and_urls_start_from_the_manifest(tmp_path: Path):
    write(tmp_path, [ENTRY], {})
    manifest = read_manifest(str(tmp_path / "manifest.json"))
    assert manifest.split("val") == (ENTRY,) and manifest.split("train") == ()
    assert manifest.resolve(ENTRY.url) == f"{tmp_path}/shards/val/00003.tar"
    assert ENTRY.rows_url == "shards/val/00003.parquet"


def test_the_checksum_that_a_trainer_pins_is_of_the_files_bytes(tmp_path: Path):
    import hashlib

    write(tmp_path, [ENTRY], {})
    assert read_manifest(str(tmp_path)).sha256 == hashlib.sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()


def _changed(folder: Path, **changes) -> None:
    document = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**document, **changes}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no such file"),
        (lambda f: (f / "manifest.json").write_text("{not json"), "not a shard manifest"),
        (lambda f: (f / "manifest.json").write_text("[1]"), "not a shard manifest"),
        (lambda f: (f / "manifest.json").write_text("{}"), "not a shard manifest"),
        (lambda f: _changed(f, schema_version=99), "schema version 99"),
        (lambda f: (f / "manifest.parquet").unlink(), "no such file"),
        (lambda f: (f / "manifest.parquet").write_bytes(b"x"), "checksum differs"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused_with_its_path_and_the_reason(tmp_path: Path, damage, words: str):
    write(tmp_path, [ENTRY], {})
    damage(tmp_path)
    with pytest.raises(UserError, match=words) as caught:
        read_manifest(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_rows_that_cannot_be_read_are_an_error_with_their_path(tmp_path: Path):
    write(tmp_path, [ENTRY], {})
    manifest = read_manifest(str(tmp_path))
    with pytest.raises(UserError, match=r"00003\.parquet"):
        read_shard_rows(manifest, ENTRY)
    (tmp_path / "shards/val").mkdir(parents=True)
    (tmp_path / "shards/val/00003.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"00003\.parquet"):
        read_shard_rows(manifest, ENTRY)


def test_indexes_name_each_shard_with_its_count():
    wids = json.loads(wids_bytes([ENTRY], name="tiny"))
    assert (wids["__kind__"], wids["wids_version"], wids["name"]) == ("wids-shard-index-v1", 1, "tiny")
    assert wids["shardlist"][0]["nsamples"] == 2 and wids["shardlist"][0]["url"] == ENTRY.url
    assert json.loads(sizes_bytes([ENTRY])) == {ENTRY.url: 2}

"""manifest.json and manifest.parquet: read back as written, and refused with a reason when they cannot be trusted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import DamagedFile, UserError
from manifests.sample import ALL_MEMBERS
from manifests.shards import (
    ShardEntry,
    manifest_bytes,
    member_offsets,
    read_manifest,
    read_shard_rows,
    sizes_bytes,
    wids_bytes,
)

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
    ).map(lambda entry: replace(entry, nsamples=sum(entry.categories.values()))),
    max_size=6,
)


def write(folder: Path, entries: list[ShardEntry], head: dict) -> None:
    document, table = manifest_bytes(entries, head)
    (folder / "manifest.json").write_bytes(document)
    (folder / "manifest.parquet").write_bytes(table)


@given(entries=ENTRIES, head=st.dictionaries(st.sampled_from(["name", "note", "parent"]), TEXTS))
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


GOOD = ShardEntry("shards/train/00000.tar", "train", 0, "0" * 64, "0" * 32, 10, 3, 0.1, {1: 3})


@pytest.mark.parametrize(
    "change",
    [
        {"url": "../victim/00000.tar"},
        {"url": "/etc/passwd.tar"},
        {"url": "http://127.0.0.1/00000.tar"},
        {"url": "shards/train/../../../x.tar"},
        {"url": "shards/.hidden/00000.tar"},
        {"url": "shards/train/00000.txt"},
        {"split": "../../.."},
        {"split": ""},
        {"bytes_": -1},
        {"nsamples": 4},
        {"nsamples": -3, "categories": {1: -3}},
        {"hours": float("nan")},
        {"hours": -1.0},
        {"sha256": "x"},
        {"md5": "0" * 31},
    ],
    ids=str,
)
def test_a_manifest_that_leads_out_of_its_folder_or_counts_what_cannot_be_is_refused(tmp_path: Path, change) -> None:
    write(tmp_path, [replace(GOOD, **change)], {"name": "x"})

    with pytest.raises(DamagedFile, match=r"manifest\.(parquet|json)"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize("categories", ["[1]", "{", '{"a": 1}', '{"1": "x"}', "[" * 100_000], ids=lambda t: t[:8])
def test_categories_that_are_no_counts_are_one_message(tmp_path: Path, categories: str) -> None:
    with pytest.raises(DamagedFile):
        ShardEntry.of_row({**GOOD.row(), "categories": categories})


@pytest.mark.parametrize(
    "head", [{"totals": {"samples": 4}}, {"shards": "../other.parquet"}, {"members": ["../x"]}, {"card": 5}], ids=str
)
def test_a_head_that_says_other_than_its_table_is_refused(tmp_path: Path, head) -> None:
    write(tmp_path, [GOOD], head)

    with pytest.raises(DamagedFile):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize("text", ["", "5", '{"mp4": [0, 5]}', '{"mp4": [512, -1]}', '{"mp4": 5}', '{"../x": [512, 1]}'])
def test_members_that_name_no_place_in_a_tar_are_one_message(text: str) -> None:
    with pytest.raises(DamagedFile):
        member_offsets(text)


def test_every_member_that_a_data_set_can_have_is_taken_for_one() -> None:
    places = {extension: [512, 10] for extension in ALL_MEMBERS}

    assert member_offsets(json.dumps(places)).keys() == set(ALL_MEMBERS)
    with pytest.raises(UserError, match="not valid offsets"):
        member_offsets(json.dumps({"../mp4": [512, 10]}))

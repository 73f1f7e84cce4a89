"""manifest.json and manifest.parquet: read back as written, and refused with a reason when they cannot be trusted."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import DamagedFile, UserError
from manifests.sample import ALL_MEMBERS
from manifests.shards import (
    PUBLISHED,
    ShardEntry,
    head_of,
    lineage,
    manifest_bytes,
    member_offsets,
    published_names,
    read_manifest,
    read_published,
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


ENTRY = ShardEntry("shards/val/00003.tar", "val", 0, "a" * 64, "b" * 32, 10, 2, 0.5, {27: 2})


def test_a_split_is_taken_by_its_name_and_urls_start_from_the_manifest(tmp_path: Path):
    write(tmp_path, [ENTRY], {})
    manifest = read_manifest(str(tmp_path / "manifest.json"))
    assert manifest.split("val") == (ENTRY,) and manifest.split("train") == ()
    assert manifest.resolve(ENTRY.url) == f"{tmp_path}/shards/val/00003.tar"
    assert ENTRY.rows_url == "shards/val/00003.parquet"


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


def publish(folder: Path, entries: list[ShardEntry], head: dict) -> str:
    """The manifest in force, kept under its hash too; its hash."""
    document, table = manifest_bytes(entries, head)
    write(folder, entries, head)
    for name, data in zip(published_names(document, table), (document, table), strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return hashlib.sha256(document).hexdigest()


def test_a_manifest_that_was_published_is_read_by_its_hash_with_shards_beside_the_one_in_force(tmp_path: Path) -> None:
    first = publish(tmp_path, [GOOD], {"name": "x"})
    publish(tmp_path, [GOOD, ENTRY], {"name": "x", "parent": first})

    manifest = read_published(str(tmp_path), first)

    assert manifest.shards == (GOOD,) and manifest.sha256 == first
    assert manifest.resolve(GOOD.url) == f"{tmp_path}/{GOOD.url}"
    assert read_published(f"{tmp_path}/", first) == read_published(str(tmp_path), first)
    with pytest.raises(UserError, match="is not a sha256"):
        read_published(str(tmp_path), "latest")
    with pytest.raises(UserError, match="no such file"):
        read_published(str(tmp_path), "0" * 64)
    kept = tmp_path / PUBLISHED / f"{first}.json"
    kept.write_bytes(kept.read_bytes().replace(b'"x"', b'"y"'))
    with pytest.raises(DamagedFile, match="checksum is not the one in its name"):
        read_published(str(tmp_path), first)


def test_a_manifests_lineage_goes_back_to_the_first_that_is_kept(tmp_path: Path) -> None:
    names = [publish(tmp_path, [GOOD], {"name": "0"})]
    for number in (1, 2, 3):
        names.append(publish(tmp_path, [GOOD], {"name": str(number), "parent": names[-1]}))
    newest = read_manifest(str(tmp_path))

    assert newest.sha256 == names[3] and list(lineage(newest)) == names[2::-1]
    assert list(lineage(read_published(str(tmp_path), names[0]))) == []
    (tmp_path / PUBLISHED / f"{names[1]}.json").write_bytes(b"{}")
    with pytest.raises(DamagedFile, match="checksum"):
        list(lineage(newest))
    (tmp_path / PUBLISHED / f"{names[1]}.json").unlink()
    assert list(lineage(newest)) == [names[2], names[1]], "after the first that is no longer kept"


GOOD_TOTALS = {"shards": 1, "samples": 3, "hours": 0.1, "bytes": 10, "categories": {"1": 3}}


@pytest.mark.parametrize(
    ("totals", "is_good"),
    [
        ({}, True),
        ({"hours": 0}, True),
        ({"shards": 0, "bytes": 0}, True),
        ({"categories": {"-1": 0, "123456789": 5}}, True),
        ({"hours": -0.1}, False),
        ({"hours": 1e12}, False),
        ({"hours": "5"}, False),
        ({"samples": 3.0}, False),
        ({"bytes": -1}, False),
        ({"shards": True}, False),
        ({"categories": {"x": 1}}, False),
        ({"categories": {"1": 1.5}}, False),
        ({"categories": [1]}, False),
    ],
    ids=str,
)
def test_totals_are_counts_or_the_manifest_is_refused(totals: dict, is_good: bool) -> None:
    head = {"schema_version": 1, "shards": "manifest.parquet", "shards_sha256": "", "totals": {**GOOD_TOTALS, **totals}}
    raw = json.dumps({**head, "schema_version": json.loads(manifest_bytes([], {})[0])["schema_version"]}).encode()
    if is_good:
        assert head_of(raw, "x")["totals"]["samples"] == 3
    else:
        with pytest.raises(DamagedFile, match="totals or splits"):
            head_of(raw, "x")


@pytest.mark.parametrize("key", ["shards", "samples", "bytes"])
def test_a_head_whose_counts_are_not_its_tables_is_refused_by_the_key(tmp_path: Path, key: str) -> None:
    write(tmp_path, [GOOD], {"totals": {**GOOD_TOTALS, key: GOOD_TOTALS[key] + 1}})

    with pytest.raises(DamagedFile, match=rf"totals\.{key} is {GOOD_TOTALS[key] + 1}, its table counts"):
        read_manifest(str(tmp_path))
    write(tmp_path, [GOOD], {"splits": {"val": GOOD_TOTALS}})
    with pytest.raises(DamagedFile, match="splits lacks train"):
        read_manifest(str(tmp_path))


def test_totals_add_up_over_shards_and_splits() -> None:
    document = json.loads(manifest_bytes([GOOD, ENTRY], {})[0])

    assert document["totals"] == {"shards": 2, "samples": 5, "hours": 0.6, "bytes": 20, "categories": {"1": 3, "27": 2}}
    assert document["splits"]["val"] == {"shards": 1, "samples": 2, "hours": 0.5, "bytes": 10, "categories": {"27": 2}}


def test_a_manifests_files_are_written_in_one_form_so_that_equal_data_keeps_its_hash() -> None:
    """Sorted and indented by two: what another form would change is the checksum that a trainer pins."""
    document = manifest_bytes([GOOD], {"name": "Übung"})[0].decode()

    assert document == json.dumps(json.loads(document), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    for raw in (wids_bytes([GOOD, ENTRY], name="x"), sizes_bytes([GOOD, ENTRY])):
        assert raw.decode() == json.dumps(json.loads(raw), indent=2) + "\n"


def test_a_manifest_beside_the_working_directory_is_found_by_its_bare_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = publish(tmp_path, [GOOD], {"name": "x"})
    monkeypatch.chdir(tmp_path)

    for url in ("manifest.json", ".", f"{PUBLISHED}/{sha256}.json"):
        manifest = read_manifest(url)
        assert (manifest.sha256, manifest.resolve(GOOD.url)) == (sha256, f"./{GOOD.url}")


@pytest.mark.parametrize(
    ("head", "key"),
    [
        ({"name": 5}, "name"),
        ({"config": []}, "config"),
        ({"generation": "1"}, "generation"),
        ({"members": [5]}, "members"),
    ],
    ids=str,
)
def test_a_key_of_the_wrong_type_is_named(tmp_path: Path, head: dict, key: str) -> None:
    write(tmp_path, [GOOD], {"name": "x", "members": ["mp4", "mel.npy"], "generation": 1})
    assert read_manifest(str(tmp_path)).head["generation"] == 1
    write(tmp_path, [GOOD], head)

    with pytest.raises(DamagedFile, match=rf"manifest\.json: {key}: wrong type of value"):
        read_manifest(str(tmp_path))

"""One shard's files: its tar holds the packs' bytes, its rows say where, and what failed is a row with its reason."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hdvila_testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select
from manifests.errors import DamagedFile
from manifests.sample import SIGNALS
from manifests.schema import SHARD_ROWS
from manifests.shards import UNRECORDED, ShardEntry, recorded_in
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.engine.store.store import Store
from pipeline.media.packs import END, PackedSample
from pipeline.shards import files
from pipeline.shards.closed import read_entries
from pipeline.shards.files import SUCCESS, DamagedSample, Piece, join_shard, read_rows, sample_of_row


def test_a_shard_holds_the_packs_bytes_and_its_rows_say_where(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=6, config=ShardsConfig(max_samples=5, card=NO_CARD))
    packs = store.read_table("packs").to_pylist()
    made = {row["key"]: row for row in packs if row["status"] == SUCCESS}
    found = set()
    for entry in read_entries(store):
        tar = (tmp_path / entry.url).read_bytes()
        for row in read_rows(store, entry.url).to_pylist():
            if row["status"] != SUCCESS:
                continue
            found.add(row["key"])
            pack = (tmp_path / made[row["key"]]["pack"]).read_bytes()
            start = made[row["key"]]["pack_offset"]
            for extension, (at, size) in json.loads(row["members"]).items():
                there, size_there = json.loads(made[row["key"]]["members"])[extension]
                assert tar[at : at + size] == pack[start + there :][:size_there]
        with tarfile.open(tmp_path / entry.url) as archive:
            assert len(archive.getnames()) == 5 * entry.nsamples
        assert tar.endswith(END)
    assert found == made.keys()


def test_a_clip_that_failed_is_a_row_with_its_reason_and_never_a_sample(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=6)
    rows = [row for entry in read_entries(store) for row in read_rows(store, entry.url).to_pylist()]
    failed = [row for row in rows if row["status"] != SUCCESS]
    assert {row["key"] for row in failed} == {"video-00002_00002", "video-00005_00002"}
    assert all(
        r["reason"] == "silent" and r["status"] == "failed_to_subsample" and r["members"] == "{}" for r in failed
    )
    stats = json.loads((tmp_path / "shards/train/00000_stats.json").read_text())
    assert stats["count"] == stats["successes"] + stats["failed_to_subsample"] == sum(stats["status_dict"].values())
    assert [stats[f"failed_to_{step}"] for step in ("download", "resize")] == [0, 0] and stats["start_time"] == 0
    assert (stats["bytes_downloaded"], stats["end_time"]) == (0, stats["duration"])


def test_a_lost_or_damaged_pack_costs_its_video_and_not_the_shard(tmp_path: Path):
    store = Store(str(tmp_path))
    for i in range(5):
        commit_video(store, f"v{i}", n_clips=2)
    select(store)
    flipped = bytearray((tmp_path / "packs" / "v4.tar").read_bytes())
    flipped[600] ^= 1  # in the first member's data: no header and no size tells it
    (tmp_path / "packs" / "v4.tar").write_bytes(flipped)
    (tmp_path / "packs" / "v1.tar").unlink()
    (tmp_path / "packs" / "v2.tar").write_bytes((tmp_path / "packs" / "v2.tar").read_bytes()[:30_000])
    manifest = make_shards(store, ShardsConfig(split=SplitConfig(val=0), card=NO_CARD))
    rows = read_rows(store, "shards/train/00000.tar").to_pylist()
    assert {r["video_id"] for r in rows if r["status"] == SUCCESS} == {"v0", "v3"}
    assert {(r["video_id"], r["reason"]) for r in rows if r["status"] != SUCCESS} == {
        ("v1", "pack_lost"),
        ("v2", "pack_lost"),
        ("v4", "pack_lost"),
    }
    rejects = store.read_rejects().to_pylist()
    assert {(r["video_id"], r["reason"]) for r in rejects} == {(v, "pack_lost") for v in ("v1", "v2", "v4")}
    assert make_shards(store, ShardsConfig(split=SplitConfig(val=0), card=NO_CARD)).sha256 == manifest.sha256


def test_a_pack_that_was_exchanged_for_another_is_not_copied_blindly(tmp_path: Path):
    store = Store(str(tmp_path))
    for name in ("v1", "v2"):
        commit_video(store, name, n_clips=2)
    select(store)
    (tmp_path / "packs" / "v1.tar").write_bytes((tmp_path / "packs" / "v2.tar").read_bytes())
    make_shards(store, ShardsConfig(split=SplitConfig(val=0), card=NO_CARD))
    keys = [r["key"] for r in read_rows(store, "shards/train/00000.tar").to_pylist() if r["status"] == SUCCESS]
    assert sorted(keys) == ["v2_00000", "v2_00001"]


def test_rows_have_the_promised_columns_and_say_what_key_json_says(tmp_path: Path):
    a_data_set(tmp_path, n_videos=2)
    table = pq.read_table(tmp_path / "shards/train/00000.parquet")
    wanted = "key url caption clips status error_message reason clip_id video_id channel_id category_id start_ms end_ms"
    own = [*wanted.split(), "duration_ms", "width", "height", "fps", "codec", "members"]
    recorded = ["language", "caption_kind", "boundary_model", "alignment_confidence", *SIGNALS, "flags"]
    assert table.column_names == [*own, *recorded]
    tar = (tmp_path / "shards/train/00000.tar").read_bytes()
    for row in table.to_pylist():
        at, size = json.loads(row["members"])["json"]
        document = json.loads(tar[at : at + size])
        assert {name: row[name] for name in recorded} == {name: document[name] for name in recorded}


@pytest.mark.parametrize(
    "text", ["", "[1]", "[" * 5000, '{"motion": "much", "flags": [], "language": "\\ud800"}', '{"motion": NaN}']
)
def test_what_a_key_json_does_not_say_is_unknown_in_its_row(text: str):
    assert recorded_in(text.encode()) == UNRECORDED and UNRECORDED["motion"] == -1


def test_a_rows_sample_reaches_from_its_first_header_to_the_end_of_its_last_block(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=2)
    (entry, *_) = read_entries(store)
    tar = (tmp_path / entry.url).read_bytes()
    at = 0
    for row in read_rows(store, entry.url).to_pylist():
        sample = sample_of_row(row)
        assert (sample.key, sample.offset, sample.offset % 512, sample.bytes_ % 512) == (row["key"], at, 0, 0)
        for extension, (inside, size) in sample.members.items():
            assert json.loads(row["members"])[extension] == [sample.offset + inside, size]
        at += sample.bytes_
    assert tar[at:] == END
    with pytest.raises(DamagedFile, match="without members"):
        sample_of_row({**row, "members": "{}"})


def test_the_stats_say_what_the_rows_say_in_seconds_of_the_clips(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    (entry, *_) = read_entries(store)
    rows = read_rows(store, entry.url)
    stats = json.loads((tmp_path / entry.url.replace(".tar", "_stats.json")).read_text())

    made = [row for row in rows.to_pylist() if row["status"] == SUCCESS]
    assert stats["duration"] == pytest.approx(sum(row["duration_ms"] for row in made) / 1000, abs=1e-3)
    assert (stats["count"], stats["successes"]) == (rows.num_rows, len(made))
    assert entry.hours == pytest.approx(stats["duration"] / 3600) and entry.nsamples == len(made)
    assert entry.bytes_ == (tmp_path / entry.url).stat().st_size


def a_piece(store: Store, key: str, tar: str, offset: int = 0, bytes_: int = 1024) -> Piece:
    """A sample of one member, `KEY.txt` of 5 bytes, with the row that names it."""
    row = dict.fromkeys(SHARD_ROWS.names, "") | dict.fromkeys(
        ("category_id", "start_ms", "end_ms", "duration_ms", "width", "height", "fps"), 0
    )
    sample = PackedSample(key, offset, bytes_, {"txt": (512, 5)})
    return Piece({**row, "key": key, "status": SUCCESS, "duration_ms": 1500}, store, tar, sample)  # type: ignore[typeddict-item]


def a_pack(store: Store, name: str, *keys: str) -> None:
    """A tar of such samples."""
    with tarfile.open(Path(store.url) / name, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key in keys:
            info = tarfile.TarInfo(f"{key}.txt")
            info.size = 5
            tar.addfile(info, io.BytesIO(key.encode().ljust(5)))


def joined(pieces: list[Piece], folder: Path) -> ShardEntry:
    folder.mkdir()
    return join_shard(pieces, folder, url="shards/val/00007.tar", split="val", generation=3)


def test_samples_of_several_packs_and_stores_stand_in_the_order_of_the_pieces(tmp_path: Path) -> None:
    stores = [Store(str(tmp_path / name)) for name in ("one", "two")]
    for store, keys in zip(stores, (("a", "b"), ("c",)), strict=True):
        Path(store.url).mkdir()
        a_pack(store, "p.tar", *keys)
    pieces = [
        a_piece(stores[0], "b", "p.tar", 1024),
        a_piece(stores[1], "c", "p.tar"),
        a_piece(stores[0], "a", "p.tar"),
    ]

    entry = joined(pieces, tmp_path / "made")

    data = (tmp_path / "made" / "00007.tar").read_bytes()
    with tarfile.open(tmp_path / "made" / "00007.tar") as tar:
        assert tar.getnames() == ["b.txt", "c.txt", "a.txt"]
    assert (entry.split, entry.generation, entry.nsamples, entry.hours) == ("val", 3, 3, 4500 / 3_600_000)
    assert (entry.sha256, entry.md5, entry.bytes_) == (
        hashlib.sha256(data).hexdigest(),
        hashlib.md5(data).hexdigest(),
        len(data),
    )
    rows = pq.read_table(tmp_path / "made" / "00007.parquet").to_pylist()
    assert [json.loads(row["members"])["txt"] for row in rows] == [[512, 5], [1536, 5], [2560, 5]]


@pytest.mark.parametrize(
    ("key", "tar", "bytes_", "reason"),
    [
        ("a", "gone.tar", 1024, "gone.tar: a: no such file"),
        ("a", "folder", 1024, "folder: a: is a folder, not a file"),
        ("a", "short.tar", 1024, "short.tar: a: 700 of 1024 bytes are there"),
        ("b", "p.tar", 1024, "p.tar: b: 'a.txt' is at its offset"),
    ],
)
def test_bytes_that_are_not_the_sample_are_named_by_their_tar(
    tmp_path: Path, key: str, tar: str, bytes_: int, reason: str
) -> None:
    store = Store(str(tmp_path))
    a_pack(store, "p.tar", "a")
    (tmp_path / "short.tar").write_bytes((tmp_path / "p.tar").read_bytes()[:700])
    (tmp_path / "folder").mkdir()

    with pytest.raises(DamagedSample, match=re.escape(f"{store.url}/{reason}")) as raised:
        joined([a_piece(store, key, tar, bytes_=bytes_)], tmp_path / "made")
    assert raised.value.piece.tar == tar


def test_checksums_are_made_where_md5_is_not_allowed_for_security(tmp_path: Path, monkeypatch) -> None:
    """As on machines in FIPS mode: wids.json and img2dataset's files need one."""
    md5 = hashlib.md5
    monkeypatch.setattr(
        files.hashlib, "md5", lambda data=b"", *, usedforsecurity=True: {False: md5}[usedforsecurity](data)
    )

    assert joined([], tmp_path / "made").md5 == md5(END).hexdigest()

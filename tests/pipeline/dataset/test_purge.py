"""What a removal leaves of a video in the tables, and removals by what a video is called where it comes from."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hdvila_testing.rows import commit_rows
from hdvila_testing.shards import NO_CARD, a_data_set
from manifests.exits import ExitCode, NothingMatched
from manifests.schema import TABLES, table_of
from manifests.stages import STAGES
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.crawl.plan import RoundPlan
from pipeline.crawl.round_files import read_plans, write_plan
from pipeline.dataset.purge import EMPTIED
from pipeline.dataset.remove import meant_by, remove
from pipeline.dataset.verify import verify
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from pipeline.outdir.due import write_gone
from pipeline.outdir.named import read_named
from pipeline.outdir.remade import ALIKE
from pipeline.outdir.retries import requested_of, write_retry
from pipeline.outdir.tombstones import RECORDS, TOMBSTONES, Tombstones, is_pseudonym, read_tombstones
from pipeline.query.cache import open_tables
from pipeline.query.fill import run
from pipeline.report.page import write_report
from pipeline.site.pauses import STATE_FILE

CONFIG = ShardsConfig(max_samples=5, split=SplitConfig(val=0), card=NO_CARD)
PLANTED = "planted-b5e1"
WATCH = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=4, n_clips=2, videos_a_channel=2, config=CONFIG)
    plant(Store(str(folder)), "video-00001")
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return Path(shutil.copytree(made, tmp_path / "copy"))


def plant(store: Store, video_id: str) -> None:
    """A row of every table for a video, each text of it planted; the reject's detail too."""
    rows, made = {}, {"extract": {}}
    for table in set(TABLES) - {"sources", "packs", "videos"}:
        row = {field.name: _planted(field.type, field.name in EMPTIED.get(table, ())) for field in TABLES[table]}
        rows[table] = row | {"video_id": video_id}
        made_by = next(stage.name for stage in STAGES.values() if table in stage.makes and stage.name != "folder")
        made.setdefault(made_by, {})[table] = [rows[table]]
    blank = {"stage": "extract", "video_id": video_id, "clip_id": "", "reason": "private", "class": "never"}
    reject = (
        blank | {"detail": PLANTED, "attempts": 1, "at": "2026-01-01T00:00:00+00:00", "next_try_at": ""} | {"node": ""}
    )
    for stage, tables in made.items():
        commit_rows(store, stage, "planted", tables, [reject] if stage == "extract" else [])
    for part in store.parts("videos"):
        old = store.read_part(part).to_pylist()
        new = [r | {"title": PLANTED, "channel": PLANTED} if r["video_id"] == video_id else r for r in old]
        store.write_table(part.path, table_of(new, TABLES["videos"]))
    write_report(store)
    for path, facts in BESIDE.items():
        store.write_json(path, facts)
    write_gone(store, {video_id: "private"})
    store.write_table(f"{ALIKE}/texts/0/{PLANTED}.parquet", pa.table({"video_id": [video_id]}))


BESIDE = {
    "lists/0-000001.jsonl.zst": [PLANTED],
    "rounds/grown/00001.json": [{"category_id": 27, "words": PLANTED, "video_ids": ["a", "b", "video-00001"]}],
    STATE_FILE: {
        "at": 0.0,
        "identities": [{"name": "one"}],
        "canaries": ["video-00001", "other"],
    },
}
"""Files that hold something of a video, but are neither tables nor what is published."""


def _planted(kind: pa.DataType, is_emptied: bool = True) -> object:
    if not is_emptied and (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        return "" if pa.types.is_string(kind) else b""
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return [{"text": PLANTED, "start_ms": 0, "end_ms": 1, "timed": True}]
    if pa.types.is_list(kind):
        return []
    if pa.types.is_binary(kind):
        return (PLANTED.encode() * 30)[:256]  # the length of a text's signature
    if pa.types.is_string(kind):
        return PLANTED
    return False if pa.types.is_boolean(kind) else 0


def texts_of(store: Store, video_id: str) -> dict[str, str]:
    """By table, all that its rows of a video say."""
    found = {}
    for table in set(TABLES) - {"sources"}:
        rows = [row for row in store.read_table(table).to_pylist() if row["video_id"] == video_id]
        found[table] = repr(rows)
    found["rejects"] = repr([row for row in store.read_rejects().to_pylist() if row["video_id"] == video_id])
    return found


def texts_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, what it is called and says) of all files in a folder; of a DuckDB file the bytes."""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        rows = str(pq.read_table(path).to_pydict()) if path.suffix == ".parquet" else ""
        yield path, f"{path.name} {rows} {path.read_bytes().decode('latin-1')}"


NAMES_OF_KIND = ("source", "query", "kind", "language", "track", "format", "live_status", "availability")
"""Columns that say how and by what search a video was found, not what is in it; they stay."""


@pytest.mark.parametrize("purge", [False, True])
def test_no_word_and_no_id_of_a_video_is_left_but_its_rows_are(copy: Path, purge: bool) -> None:
    store = Store(str(copy))
    n_rows = {table: store.read_table(table).num_rows for table in TABLES}
    with open_tables(store, "SELECT title FROM videos") as tables:
        assert (PLANTED,) in run(tables, "SELECT title FROM videos")

    plan = RoundPlan(0, due=(("video-00001", 2), ("video-00002", 2)))
    write_plan(store, plan)
    store.commit("choose", plan.unit_of_choice, {})
    store.write_json("batches/00000.json", {"video_ids": ["video-00001", "video-00002"], "long": {"video-00001": 4}})
    write_retry(store, "media", "silent", ["video-00001"], 1)

    done = remove(store, Tombstones(frozenset({"video-00001"})), purge=purge)

    for path, text in (*texts_in(copy), *texts_in(Path(os.environ["XDG_CACHE_HOME"]))):
        assert PLANTED not in text, path
        place = path.relative_to(copy).parts[0] if path.is_relative_to(copy) else ""
        assert "video-00001" not in text or (place in (TOMBSTONES, RECORDS) and not purge), path
    (name,) = (name for name in read_tombstones(store).videos if is_pseudonym(name))
    batch = {"video_ids": [name, "video-00002"], "long": {name: 4}}
    assert store.read_json("batches/00000.json") == batch and requested_of(store, "media", "silent") == {name}
    (plan,) = read_plans(store)
    assert plan.due[0] == (name, 2) and plan.unit_of_choice in store.committed("choose")
    assert name in store.committed("media") and "video-00001" not in store.committed("media")
    assert store.read_json(STATE_FILE)["canaries"] == ["other"]
    assert {table: store.read_table(table).num_rows for table in TABLES} == n_rows
    assert done.n_purged > 5 and list(verify(store, decode=0)) == []


def test_a_removal_reaches_merged_tables_and_what_their_merges_left(copy: Path) -> None:
    store, sizes = Store(str(copy)), MergeSizes(n_units=1, fan_in=2, grace_s=3600)
    while job := plan_merge(store, sizes):
        assert install(store, job, write_segment(store, job))
    n_rows = {table: store.read_table(table).num_rows for table in TABLES}
    other = texts_of(store, "video-00002")

    remove(store, Tombstones(frozenset({"video-00001"})))

    assert not store.names("videos") and {t: Store(str(copy)).read_table(t).num_rows for t in TABLES} == n_rows
    for table in set(TABLES) - {"sources"}:
        for row in store.read_table(table).to_pylist():
            for name in EMPTIED.get(table, ()):
                assert not is_pseudonym(row["video_id"]) or not row[name], (table, name)
            assert "video-00001" not in str(row)
    assert all(PLANTED not in str(row["detail"]) for row in store.read_rejects().to_pylist())
    assert texts_of(store, "video-00002") == other
    segments = read_head(store)[0].segments
    assert any(segment.sizes for segment in segments)
    for segment in segments:
        assert segment.sizes == {name: store.size(f"{segment.folder}/{name}") for name in segment.sizes}
        assert segment.bytes == sum(segment.sizes.values())


def test_every_column_that_can_hold_words_is_emptied_or_named_as_harmless() -> None:
    harmless = {"video_id", "channel_id", "clip_id", "key", "pack", "members", "flags", "reason", "status", "codec"}
    harmless |= {*NAMES_OF_KIND, "category", "upload_date", "license", "heights", "caption_tracks", "egress"}
    harmless |= {"yt_dlp_version", "caption_kind", "boundary_model", "what", "other_video_id", "other_channel_id"}
    harmless |= {"audio_format", "heard_by"}
    for table in set(TABLES) - {"sources"}:
        for field in TABLES[table]:
            kind = field.type
            if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_list(kind):
                assert field.name in harmless or field.name in EMPTIED.get(table, ()), f"{table}.{field.name}"


def test_a_video_is_found_by_the_address_it_came_from(copy: Path) -> None:
    store = Store(str(copy))
    (url,) = [row["url"] for row in store.read_table("videos").to_pylist() if row["video_id"] == "video-00002"]

    ids = meant_by(read_named([f"{url}  # asked by mail"], "x"), store)
    done = remove(store, ids)

    assert done.videos == ("video-00002",) and done.n_samples > 0 and done.unknown == ()
    assert not any(b"video-00002" in path.read_bytes() for path in copy.glob("shards/**/*") if path.is_file())
    assert read_tombstones(store).cover("other-id", "", url)


def test_nothing_matched_is_exit_5_and_the_tombstone_is_written(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(f"{WATCH}\nhttps://vimeo.com/76979871\n")

    done = CliRunner().invoke(app, ["remove", str(copy), "--ids", str(tmp_path / "ids.txt")])

    assert isinstance(done.exception, NothingMatched) and done.exception.exit_code == ExitCode.NOTHING_MATCHED
    assert "dQw4w9WgXcQ" in str(done.exception) and "https://vimeo.com/76979871" in str(done.exception)
    stones = read_tombstones(Store(str(copy)))
    assert stones.cover("0123456789abcdef", "", WATCH)
    assert stones.cover("x", "", "https://vimeo.com/76979871")

"""`remove --text`: what somebody said is gone from shards, packs and plans, and is not made again; the rest stays."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hdvila_testing.shards as toys
from hdvila_testing.rows import commit_rows
from manifests.errors import UserError
from manifests.exits import NothingMatched
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.merge import merge
from pipeline.dataset.verify import verify
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.store import Store
from pipeline.media.packs import index_pack
from tests.pipeline.run.small_runs import films_in, start

CONFIG = ShardsConfig(max_samples=5, split=SplitConfig(val=0), card=toys.NO_CARD)
SAID, CLIP, KEY = "Sentence 1 of video, VIDEO-00001!", "video-00001.1", "video-00001_00001"
WORDS = b"sentence 1 of video video-00001"


def remove(out: Path, *lines: str, purge: bool = False) -> str:
    file = out.parent / "sentences.txt"
    file.write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["remove", str(out), "--text", str(file), *["--purge"] * purge])
    if done.exception:
        raise done.exception
    return done.output


def keys(out: Path) -> set[str]:
    return {sample.key for tar in out.glob("shards/*/*.tar") for sample in index_pack(tar.open("rb"))}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    toys.a_data_set(tmp_path / "out", n_videos=3, n_clips=3, config=CONFIG)
    return tmp_path / "out"


def test_the_clip_that_says_it_goes_and_its_video_stays(out: Path) -> None:
    before = keys(out)

    said = remove(out, SAID, "")

    assert "1 clips say" in said and "1 samples removed" in said
    assert keys(out) == before - {KEY} and list(verify(Store(str(out)), decode=-1)) == []
    for file in [*out.rglob("*.tar"), *out.rglob("*.html")]:
        assert WORDS not in file.read_bytes()
    (record,) = out.glob("removals/*.json")
    assert json.loads(record.read_text())["keys"] == [KEY]
    names = (out / "tombstones.txt").read_text() + record.read_text()
    assert "hashed text6 " in names and "sentence" not in names


def test_a_later_run_puts_it_into_no_shard_and_a_copy_leaves_it_out(out: Path) -> None:
    copy = out.parent / "copy"
    merge([Store(str(out))], Store(str(copy)))
    remove(out, SAID)
    store = Store(str(out))
    toys.commit_video(store, "late-000001", n_clips=1)
    toys.select(store)
    toys.make_shards(store, CONFIG)

    assert KEY not in keys(out) and "late-000001_00000" in keys(out) and list(verify(store)) == []
    merge([store], Store(str(out.parent / "merged")))
    assert KEY in keys(copy) and KEY not in keys(out.parent / "merged")


def test_merged_tables_say_it_no_more_and_the_packs_of_others_are_right(out: Path) -> None:
    store, sizes = Store(str(out)), MergeSizes(n_units=1, fan_in=2, grace_s=3600)
    while job := plan_merge(store, sizes):
        assert install(store, job, write_segment(store, job))

    remove(out, SAID)

    rows = {row["clip_id"]: row for row in Store(str(out)).read_table("packs").to_pylist()}
    assert rows[CLIP]["reason"] == "opted_out" and not rows[CLIP]["text"] and not rows[CLIP]["pack"]
    for row in (row for row in rows.values() if row["status"] == "success"):
        tar = (out / row["pack"]).read_bytes()
        assert tar[row["pack_offset"] :].startswith(row["key"].encode())
    assert not (out / "packs/video-00001.tar").exists()


@pytest.mark.parametrize("is_merged", [False, True])
def test_its_kept_still_goes_and_those_of_others_stay(out: Path, is_merged: bool) -> None:
    store = Store(str(out))
    stills = [
        {"video_id": "video-00001", "n": n, "bytes": 3, "clip_id": f"video-00001.{n}", "still": b"jpg"} for n in (0, 1)
    ]
    commit_rows(store, "media", "stills", {"stills": stills})
    if is_merged:
        sizes = MergeSizes(n_units=1, fan_in=2, grace_s=3600)
        while job := plan_merge(store, sizes):
            assert install(store, job, write_segment(store, job))
    remove(out, SAID)
    left = {row["clip_id"]: row["still"] for row in Store(str(out)).read_table("stills").to_pylist()}
    assert left == {"video-00001.0": b"jpg", CLIP: b""}


@pytest.mark.parametrize("line", ["word", "  !!  one "])
def test_a_word_alone_is_no_sentence(out: Path, line: str) -> None:
    with pytest.raises(UserError, match=r"line 1: .* is no sentence"):
        remove(out, line)


def test_what_nobody_says_is_exit_5_and_is_kept_out_from_now_on(out: Path) -> None:
    with pytest.raises(NothingMatched, match="no clip here says"):
        remove(out, "never said here")
    assert "hashed text3 " in (out / "tombstones.txt").read_text()
    with pytest.raises(UserError, match="--text FILE for sentences"):
        CliRunner().invoke(app, ["remove", str(out)], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("purge", "redos"),
    [pytest.param(False, ["", "media", "clips"], marks=pytest.mark.long), (True, ["transcripts"])],
)
def test_what_was_said_is_not_made_again_from_any_stage(tmp_path: Path, purge: bool, redos: list[str]) -> None:
    films, out = films_in(tmp_path), tmp_path / "out"
    start(out, films, keep_packs=True)
    assert {key.partition("_")[0] for key in keys(out)} == {"film-0", "film-1", "film-2"}

    assert "1 clips say" in remove(out, "horse number 1 of three", purge=purge)

    for redo in redos:
        start(out, films, redo=redo, keep_packs=True)
        assert {key.partition("_")[0] for key in keys(out)} == {"film-0", "film-2"}
        assert list(verify(Store(str(out)))) == []
        said = [path for path in out.rglob("*") if path.is_file() and b"horse number 1 of" in path.read_bytes()]
        assert not [path for path in said if path.parts[len(out.parts)] in ("shards", "packs", "report")]
    names = (out / "tombstones.txt").read_text() + "".join(file.read_text() for file in out.glob("removals/*.json"))
    assert "horse" not in names and ("film-1_00000" in names) != purge

"""`export --format hf`: a folder that `datasets` loads by its README alone, with or without the clips."""

import io
import shutil
from pathlib import Path

import av
import datasets
import pytest
from typer.testing import CliRunner

from hdvila_testing.shards import N_BEFORE, N_FRAMES, NO_CARD, a_data_set
from manifests.errors import UserError
from manifests.shards import read_manifest
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset import hub_folder
from pipeline.engine.store.store import Store
from pipeline.shards.files import read_rows

CC, OTHER = "Creative Commons Attribution license (reuse allowed)", "All rights reserved"
CONFIG = ShardsConfig(max_samples=6, split=SplitConfig(val=0.2), card=NO_CARD)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(a_data_set(tmp_path_factory.mktemp("made"), config=CONFIG, licences=(CC, "", OTHER)).root)


def exported(made: Path, out: Path, *options: str) -> str:
    """What `export --format hf` prints."""
    done = CliRunner().invoke(app, ["export", str(made), "--out", str(out), "--format", "hf", *options])
    if done.exception:
        raise done.exception
    return done.output


def rows_of(made: Path, split: str) -> list[dict]:
    shards = read_manifest(str(made)).split(split)
    rows = [row for entry in shards for row in read_rows(Store(str(made)), entry.url).to_pylist()]
    return [row for row in rows if row["status"] == "success"]


def n_frames(mp4: bytes) -> int:
    with av.open(io.BytesIO(mp4)) as film:
        return sum(1 for _ in film.decode(video=0))


def first_clip(folder: Path) -> dict:
    """The first sample of a split, streamed, with its films as bytes."""
    streamed = datasets.load_dataset(str(folder), split="train", streaming=True)
    return next(iter(streamed.decode(False)))


@pytest.mark.parametrize("rows_a_file", [1, hub_folder.ROWS_A_FILE])
def test_every_clip_is_a_row_with_its_caption_span_and_licence(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rows_a_file: int
) -> None:
    monkeypatch.setattr(hub_folder, "ROWS_A_FILE", rows_a_file)
    exported(made, tmp_path / "hub")

    loaded = datasets.load_dataset(str(tmp_path / "hub"), cache_dir=str(tmp_path / "cache"))
    assert loaded.keys() == {"train", "val"}
    for split, table in loaded.items():
        expected = rows_of(made, split)
        assert list(table.features) == [
            *("clip_id", "video_id", "url", "start_ms", "end_ms"),
            *("caption", "channel_id", "category", "language", "license"),
        ]
        for name in ("clip_id", "caption", "start_ms", "end_ms", "url"):
            assert table[name][:] == [row[name] for row in expected]
        assert set(table["license"][:]) <= {CC, "", OTHER} and set(table["language"][:]) == {"en"}
        streamed = datasets.load_dataset(str(tmp_path / "hub"), split=split, streaming=True)
        assert [row["caption"] for row in streamed] == table["caption"][:]
    assert len({name for table in loaded.values() for name in table["license"]}) == 3
    assert "dataset card" not in caplog.text, "datasets takes all of it"


@pytest.mark.parametrize(("option", "frames"), [("--exact", N_FRAMES), ("--as-is", N_BEFORE + N_FRAMES)])
def test_clips_begin_with_their_sentence_unless_they_are_asked_for_as_they_are(
    made: Path, tmp_path: Path, option: str, frames: int
) -> None:
    said = exported(made, tmp_path / "hub", "--media", *[option] * (option != "--exact"))

    loaded = datasets.load_dataset(str(tmp_path / "hub"), cache_dir=str(tmp_path / "cache"))
    for split, table in loaded.items():
        expected = rows_of(made, split)
        assert isinstance(table.features["mp4"], datasets.Video)
        assert table["__key__"][:] == [row["key"] for row in expected]
        assert table["txt"][:] == [row["caption"] for row in expected]
    first = first_clip(tmp_path / "hub")
    assert n_frames(first["mp4"]["bytes"]) == frames
    assert first["json"]["first_frame"] == frames - N_FRAMES
    assert ("hours of a processor" in said) == (option == "--exact")


def test_a_licence_leaves_out_all_that_is_not_of_a_video_that_has_it(made: Path, tmp_path: Path) -> None:
    exported(made, tmp_path / "texts", "--licence", "creative commons")
    exported(made, tmp_path / "clips", "--licence", "creative commons", "--media", "--as-is")

    keys = {}
    for name in ("texts", "clips"):
        loaded = datasets.load_dataset(str(tmp_path / name), cache_dir=str(tmp_path / "cache"))
        tables = [table.select_columns("json")["json"] if name == "clips" else table for table in loaded.values()]
        rows = [row for table in tables for row in table]
        assert {row["license"] for row in rows} == {CC}
        keys[name] = {row["clip_id"] for row in rows}
    assert keys["texts"] == keys["clips"] and len(keys["texts"]) == 9
    assert f"| {CC} | 9 |" in (tmp_path / "clips/LICENSE.md").read_text()


def test_a_licence_that_no_clip_has_is_refused_with_those_that_there_are(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"leaves no clip; the licences here: .*Creative Commons.* \(9 clips\)"):
        exported(made, tmp_path / "hub", "--licence", "public domain")
    assert not (tmp_path / "hub").exists()


def test_a_folder_with_something_else_is_left_alone_and_the_same_export_is_made_once(
    made: Path, tmp_path: Path
) -> None:
    exported(made, tmp_path / "hub")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "hub").rglob("*")}
    exported(made, tmp_path / "hub")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "hub").rglob("*")} == before
    with pytest.raises(UserError, match="is not empty, and not this export; name another folder"):
        exported(made, tmp_path / "hub", "--licence", "creative commons")


def test_a_json_that_cannot_be_read_is_one_message_with_its_place(made: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    tar = copy / "shards/train/00000.tar"
    tar.write_bytes(tar.read_bytes().replace(b'{"schema_version"', b'["schema_version"'))
    with pytest.raises(UserError, match=r"00000.tar: 'video-\d+_\d+': its json cannot be read .*verify") as raised:
        exported(copy, tmp_path / "hub")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("words", [["--media"], ["--format", "hf", "--exact"], ["--format", "hdvila", "--as-is"]])
def test_options_that_mean_nothing_together_are_refused(made: Path, tmp_path: Path, words: list[str]) -> None:
    done = CliRunner().invoke(app, ["export", str(made), "--out", str(tmp_path / "out"), *words])
    assert isinstance(done.exception, UserError) and not (tmp_path / "out").exists()

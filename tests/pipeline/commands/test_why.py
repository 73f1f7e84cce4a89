"""`hdvila-pipeline why ID`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hdvila_testing.shards as toys
from hdvila_testing.requests import count_requests
from manifests.errors import UserError
from pipeline.cli import app
from pipeline.commands.why import ids_in
from pipeline.config.shards import ShardsConfig
from pipeline.engine.run.merger import GROUPS_UNTOLD
from pipeline.engine.store.lookup import write_loose
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from tests.pipeline.engine.id_files import merge_ids
from tests.pipeline.engine.merges import fill, merge_all


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=12", "dQw4w9WgXcQ"),
        ("https://youtu.be/dQw4w9WgXcQ?si=x", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ.7", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ_00007", "dQw4w9WgXcQ"),
        ("abcde_12345", "abcde_12345"),
    ],
)
def test_whatever_names_a_video_is_understood(text: str, wanted: str) -> None:
    assert wanted in ids_in(text)


def test_a_kept_video_and_a_left_out_one_tell_their_way(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    toys.commit_video(store, "abcde_12345", n_clips=3, failed={1: "silent"})
    toys.select(store)
    done = CliRunner().invoke(app, ["why", "abcde_12345_00002", "--out", str(tmp_path)])
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    assert "2 of 3 clips made" in told and "2 of 3 clips kept" in told
    assert "1 of 3 clips lost: silent (the audio is silent), for example abcde_12345.1" in told
    assert "abcde_12345.2 kept; in no shard yet" in told


def test_a_video_that_was_taken_down_is_said_to_be_gone(tmp_path: Path) -> None:
    toys.a_data_set(tmp_path, n_videos=3, n_clips=2, prefix="video", config=ShardsConfig(card=toys.NO_CARD))
    asked = tmp_path / "asked.txt"
    asked.write_text("video-00000\nnever-seen1\n")
    assert CliRunner().invoke(app, ["remove", str(tmp_path), "--ids", str(asked)]).exit_code == 0

    gone = CliRunner().invoke(app, ["why", "video-00000", "--out", str(tmp_path)])
    unseen = CliRunner().invoke(app, ["why", "never-seen1", "--out", str(tmp_path)])
    stays = CliRunner().invoke(app, ["why", "video-00001", "--out", str(tmp_path)])

    today = datetime.now(UTC).date().isoformat()
    assert (gone.exit_code, unseen.exit_code, stays.exit_code) == (0, 0, 0)
    assert f"taken down on {today}" in " ".join(gone.stdout.split()) and "tombstones.txt" in gone.stdout
    assert "2 of 2 clips made" in gone.stdout
    assert "asked to be left out" in " ".join(unseen.stdout.split())
    assert "removed" not in stays.stdout


def test_an_unknown_video_is_said_to_be_unknown(tmp_path: Path) -> None:
    toys.commit_video(Store(str(tmp_path)), "abcde_12345")
    done = CliRunner().invoke(app, ["why", "nobody", "--out", str(tmp_path)])
    assert isinstance(done.exception, UserError) and "nobody not found" in str(done.exception)


def test_control_characters_of_a_title_do_not_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = toys._video_row

    def hostile_row(*given: object) -> dict:
        return {**original(*given), "title": "a \x1b[31mred [bold]title[/bold]"}

    monkeypatch.setattr(toys, "_video_row", hostile_row)
    toys.commit_video(Store(str(tmp_path)), "video000000")
    done = CliRunner().invoke(app, ["why", "video000000", "--out", str(tmp_path)])
    assert "\x1b[31m" not in done.stdout and "[bold]title[/bold]" in done.stdout


def test_a_run_under_way_is_asked_little_however_many_parts_it_has(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for begin in range(0, 120, 6):
        fill(store, [f"u{i}" for i in range(begin, begin + 6)], a_group=6)
        merge_all(store, MergeSizes(6, 64, grace_s=3600))
        merge_ids(store)
    fill(store, [f"u{i}" for i in range(200, 500)], a_group=1)
    write_loose(store.commits)
    fill(store, [f"u{i}" for i in range(500, 500 + GROUPS_UNTOLD)], a_group=1)

    for text, is_known in (("u7-0", True), ("u333-1", True), ("u503-0", True), ("u333-1.7", True), ("nobody", False)):
        with count_requests() as counted:
            done = CliRunner().invoke(app, ["why", text, "--out", str(tmp_path)])
        assert (done.exit_code == 0) == is_known
        assert counted.n <= 50, f"{text}: {counted.kinds}"

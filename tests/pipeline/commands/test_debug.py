"""`debug RUN.YAML STAGE UNIT`: one unit in this process, committed nowhere."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows
from hdvila_testing.video import a_video
from manifests.errors import UserError
from manifests.exits import NothingMatched
from manifests.run_status import RunStatus
from pipeline.cli import app
from pipeline.engine.store.store import Store


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["debug", *words])
    if isinstance(result.exception, UserError):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A run whose crawl is done: one film and one video whose file is gone."""
    film = a_video(tmp_path / "film.mp4", seconds=6, width=320, height=180)
    store = Store(str(tmp_path / "out"))
    rows = [a_video_row("v1") | {"media_path": str(film)}, a_video_row("v2") | {"media_path": "/nowhere.mp4"}]
    commit_rows(store, "crawl", "x", {"videos": rows})
    commit_rows(store, "clips", "x", {"clips": [a_clip_row(v, 0, 500, 4000) for v in ("v1", "v2")]})
    file = tmp_path / "run.yaml"
    file.write_text(
        f"out: {store.url}\ncrawl: {{sources: [folder]}}\nfolder: {{path: {tmp_path}}}\n"
        f"engine: {{scratch: {tmp_path / 'scratch'}}}\nmedia: {{cut: {{min_short_side: 0}}}}\n"
    )
    return str(file)


def test_a_unit_is_made_here_and_leaves_nothing(config: str, tmp_path: Path) -> None:
    code, said = run(config, "media", "v1")

    assert code == 0
    assert "1 packs; packs/v1-" in said
    assert not (tmp_path / "out" / "packs").exists()
    assert not Store(str(tmp_path / "out")).committed("media")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_verdict_is_shown_and_exits_1(config: str) -> None:
    code, said = run(config, "media", "v2")

    assert code == 1
    assert "media:v2: Rejected: not_a_video: /nowhere.mp4: no such file" in said


def test_an_unknown_stage_or_unit_and_a_live_run_are_one_message(config: str, tmp_path: Path) -> None:
    with pytest.raises(NothingMatched, match="stage media has no unit v9"):
        run(config, "media", "v9")
    with pytest.raises(UserError, match="no stage with units of this name"):
        run(config, "manifest", "v1")
    store = Store(str(tmp_path / "out"))
    store.write("status.json", RunStatus(updated_at=4e9).model_dump_json().encode())
    with pytest.raises(UserError, match="a run is in progress"):
        run(config, "media", "v1")

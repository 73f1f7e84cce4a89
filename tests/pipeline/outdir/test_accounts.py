"""What is gone from an output directory is found, named, and ends the next run with exit code 1."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hdvila_testing.video import a_video
from manifests.exits import ExitCode
from pipeline.cli import app
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import check_accounts
from pipeline.query.funnel import funnel

pytestmark = pytest.mark.slow

CAPTIONS = "WEBVTT\n\n00:00.100 --> 00:03.900\nA brown dog runs over the green field to the old gate.\n"
RUN = """
crawl: {sources: [folder]}
text: {transcript: {min_words: 3}}
media: {cut: {min_short_side: 180}}
shards: {keep_packs: true}
engine: {executor: local}
"""
SIZES = {"good": (320, 180), "small": (160, 90)}
"""Of films: the run takes those of 180p and more, which are made and cut in no time."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder run of one good film and one that is too small."""
    base = tmp_path_factory.mktemp("accounts")
    (base / "films").mkdir()
    for name, size in SIZES.items():
        a_video(base / "films" / f"{name}.mp4", seconds=4, width=size[0], height=size[1])
        (base / "films" / f"{name}.en.vtt").write_text(CAPTIONS)
    (base / "run.yaml").write_text(f"out: {base / 'out'}\nfolder: {{path: {base / 'films'}}}\n{RUN}")
    done = run(base)
    assert done.exit_code == ExitCode.OK, done.output
    return base


def run(base: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", str(base / "run.yaml"), *arguments])


@pytest.fixture
def base(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(finished, tmp_path / "copy")
    text = (finished / "run.yaml").read_text().replace(str(finished / "out"), str(tmp_path / "copy" / "out"))
    (tmp_path / "copy" / "run.yaml").write_text(text)
    return tmp_path / "copy"


def test_a_finished_run_misses_nothing(finished: Path) -> None:
    accounts = check_accounts(Store(str(finished / "out")))

    assert accounts.is_whole and accounts.lines() == []


@pytest.mark.parametrize("table", ["videos", "packs", "rejects/folder"])
def test_a_part_that_is_gone_is_named_and_the_run_ends_with_1(base: Path, table: str) -> None:
    (part,) = (base / "out" / table).glob("part-*.parquet")
    part.unlink()

    done = run(base)

    said = " ".join(done.output.split())
    assert done.exit_code == ExitCode.INCOMPLETE, done.output
    stage = part.name.split("-")[1]
    assert f"missing: {stage}: {table}/{part.name} (1 " in said
    assert "run with --redo" in said


def test_redo_of_the_named_stage_makes_it_whole_again(base: Path) -> None:
    (part,) = (base / "out" / "transcripts").glob("part-*.parquet")
    part.unlink()

    assert run(base, "--redo", "transcripts").exit_code == ExitCode.OK
    assert check_accounts(Store(str(base / "out"))).is_whole


def test_the_sum_is_wrong_where_a_kept_video_has_lost_its_rows(base: Path) -> None:
    (part,) = (base / "out" / "packs").glob("part-*.parquet")
    part.unlink()

    counts = funnel(Store(str(base / "out")))

    assert (counts.videos.kept, counts.videos.missing, counts.videos.adds_up) == (1, 1, False)
    assert any("videos: 2 candidates, but 1 kept" in line for line in check_accounts(Store(str(base / "out"))).lines())

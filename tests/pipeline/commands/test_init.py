"""Configurations to start from: they load as they stand, and none replaces a file."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.cli
from manifests.errors import UserError
from manifests.settings import load_config
from pipeline.commands.init import Start
from pipeline.config import RunConfig


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("youtube", "did you mean crawl?"),
        ("urls", "did you mean list?"),
        ("foldr", "did you mean folder?"),
        ("x", "crawl,"),
    ],
)
def test_a_start_that_is_none_gets_the_nearest_one(word: str, says: str) -> None:
    done = CliRunner().invoke(pipeline.cli.app, ["init", word])

    assert done.exit_code == 2 and says in " ".join(done.output.replace("│", "").split())


@pytest.mark.parametrize("start", Start)
def test_a_starter_loads_as_it_stands_and_its_plan_is_shown(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    done = CliRunner().invoke(pipeline.cli.app, ["init", start, "--out", str(file)])
    assert done.exit_code == 0
    load_config(RunConfig, file)

    plan = CliRunner().invoke(pipeline.cli.app, ["run", str(file), "--dry-run", "--set", f"out={tmp_path / 'out'}"])
    assert plan.exit_code == 0 and "sources:" in plan.output and not (tmp_path / "out").exists()
    if start is Start.CRAWL:
        assert "100 hours, policy equal" in plan.output and "videos to fetch: about 888" in plan.output


def test_a_starter_leaves_a_file_that_is_there_alone(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("mine")
    done = CliRunner().invoke(pipeline.cli.app, ["init", "folder", "--out", str(file)])

    assert isinstance(done.exception, UserError) and file.read_text() == "mine"

"""What a newcomer meets first on a command line: help that fits, examples that parse, starters that load."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.cli
import train.cli
from manifests.errors import UserError
from manifests.examples import EXAMPLES
from manifests.exits import COMMANDS
from manifests.settings import load_config
from pipeline.commands.init import Start
from pipeline.config import RunConfig
from tests.command_line import UsageError, parsed

APPS = {"hdvila-pipeline": pipeline.cli.app, "hdvila-train": train.cli.app}
EVERY = [(program, command) for program, commands in COMMANDS.items() for command in commands]


@pytest.mark.parametrize(("program", "command"), EVERY)
def test_every_example_is_one_that_its_command_takes(program: str, command: str) -> None:
    words = shlex.split(EXAMPLES[program][command])

    assert words[0] == command
    assert parsed(APPS[program], words)


@pytest.mark.parametrize("words", [["nonsense"], ["status"], ["run", "run.yaml", "--nonsense"]])
def test_what_no_command_takes_is_found(words: list[str]) -> None:
    with pytest.raises((KeyError, UsageError)):
        parsed(pipeline.cli.app, words)


@pytest.mark.parametrize(("program", "command"), EVERY)
def test_help_says_its_example_and_fits_80_columns(program: str, command: str) -> None:
    shown = CliRunner().invoke(APPS[program], [command, "-h"], terminal_width=80).output

    assert "Example:" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize("arguments", [["-h"], ["config"]])
def test_the_first_screens_fit_80_columns(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments], capture_output=True, text=True, env={"COLUMNS": "80"}
    )

    assert done.returncode == 0 and max(len(line) for line in done.stdout.splitlines()) <= 80


@pytest.mark.parametrize("program", APPS)
def test_the_version_is_the_distributions(program: str) -> None:
    from importlib.metadata import version

    assert version("hdvila") in CliRunner().invoke(APPS[program], ["--version"]).output


@pytest.mark.parametrize("start", Start)
def test_a_starter_loads_as_it_stands_and_its_plan_is_told(start: Start, tmp_path: Path) -> None:
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

"""What a newcomer meets first on a command line: help that fits, examples that parse, starters that load."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import pipeline.cli
import train.cli
from manifests.exits import COMMANDS, EXAMPLES
from tests.command_line import UsageError, commands_in_messages, parsed
from tests.conftest import REPO

APPS = {"hdvila-pipeline": pipeline.cli.app, "hdvila-train": train.cli.app}
EVERY = [(program, command) for program, commands in COMMANDS.items() for command in commands]


@pytest.mark.parametrize(("program", "command"), EVERY)
def test_every_example_is_one_that_its_command_takes(program: str, command: str) -> None:
    words = shlex.split(EXAMPLES[program][command])

    assert words[0] == command
    assert parsed(APPS[program], words)


def test_every_command_that_a_message_names_is_one_that_the_program_takes() -> None:
    named = commands_in_messages()

    assert {"pipeline/report/summary.py", "pipeline/report/templates/report.html.j2"} <= {file for file, _ in named}
    for file, command in named:
        program, *words = shlex.split(command.partition("  ")[0].partition(";")[0])
        assert words[-1] == "--help" or parsed(APPS[program], words), (file, command)


@pytest.mark.parametrize("words", [["nonsense"], ["status"], ["run", "run.yaml", "--nonsense"]])
def test_what_no_command_takes_is_found(words: list[str]) -> None:
    with pytest.raises((KeyError, UsageError)):
        parsed(pipeline.cli.app, words)


def below(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of a command and of all below it: () is the program itself."""
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from below(inner, (*path, name))


@pytest.mark.parametrize(
    ("program", "path"), [(name, path) for name, app in APPS.items() for path in below(get_command(app))]
)
def test_help_says_its_example_and_fits_80_columns(program: str, path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(APPS[program], [*path, "-h"], terminal_width=80).output

    assert f"Example: {program} {' '.join(path)}".strip() in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "[[" not in shown


def test_the_first_screen_of_the_settings_fits_80_columns() -> None:
    command = [sys.executable, "-m", "pipeline", "config"]
    done = subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "80"})

    assert done.returncode == 0 and max(len(line) for line in done.stdout.splitlines()) <= 80


@pytest.mark.parametrize("program", APPS)
def test_the_version_is_the_distributions(program: str) -> None:
    from importlib.metadata import version

    assert version("hdvila") in CliRunner().invoke(APPS[program], ["--version"]).output


def test_readme_lists_the_commands_in_the_groups_and_the_order_of_the_help() -> None:
    table = (
        (REPO / "README.md").read_text().partition("| `hdvila-pipeline` | |")[2].partition("| `hdvila-train` | |")[0]
    )
    cells = [cell for row in table.splitlines() if row.startswith("| ") for cell in [row.split("|")[1]]]
    told = [word for cell in cells for word in re.findall(r"\*\*(\w+)\*\*|`([a-z-]+)", cell)]

    listed = [word for group, commands in pipeline.cli.GROUPS.items() for word in (group, *commands)]
    assert [group or command for group, command in told] == listed


IMPORTED = """
import sys
from pipeline import cli
from typer.testing import CliRunner

for command in ("cut", "show", "verify"):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0, result.output
    print(sorted(name for name in sys.modules if name.startswith("pipeline.commands.") or name in ("ray", "yt_dlp")))
"""


def test_commands_for_local_files_import_no_other_command_and_neither_ray_nor_yt_dlp() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", IMPORTED], capture_output=True, text=True, cwd=REPO)

    commands = [f"pipeline.commands.{name}" for name in ("cut", "show", "verify")]
    assert done.stdout.splitlines() == [str(commands[: n + 1]) for n in range(3)], done.stderr[-2000:]

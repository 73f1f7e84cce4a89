"""Pages teach what is so: reference pages are those that the code makes, commands parse, the site has no dead link."""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer
from mkdocs.commands.build import build
from mkdocs.config import load_config

import pipeline.cli
import train.cli
from pipeline.config.reference import settings_page

REPO = Path(__file__).resolve().parent.parent
APPS = {"hdvila-pipeline": pipeline.cli.app, "hdvila-train": train.cli.app}
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]


def commands_in(page: Path) -> list[str]:
    """Lines of shell blocks that call one of our programs."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = (line.strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line.split(" ")[0] in APPS]


def test_the_settings_page_is_made_from_the_settings() -> None:
    page = (REPO / "docs" / "settings.md").read_text()

    assert page == settings_page(), "run: python -m pipeline.config.reference > docs/settings.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_the_program_takes(page: Path) -> None:
    for line in commands_in(page):
        program, *words = shlex.split(line, comments=True)
        command: click.Command = typer.main.get_command(APPS[program])
        while isinstance(command, click.Group):
            assert words and words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        with command.make_context(line, words) as context:
            assert context.params, line


def test_the_site_builds_without_a_dead_link(tmp_path: Path) -> None:
    config = load_config(str(REPO / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True)
    build(config)

    pages = {page.parent.name for page in (tmp_path / "site").rglob("index.html")}
    assert {path.stem for path in (REPO / "docs").glob("*.md")} - {"index"} <= pages

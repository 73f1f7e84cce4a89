"""Reads a command line as a program would, and runs nothing."""

import ast
import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

from tests.conftest import REPO

__all__ = ["UsageError", "commands_in_messages", "options_unknown", "parsed"]

UsageError = typer.BadParameter.__mro__[1]
"""What a wrong command line raises. typer brings it along, from a click of its own or from the one beside it."""


def parsed(app: typer.Typer, words: Sequence[str]) -> dict[str, Any]:
    """The values that a command takes of these words. KeyError for a command that is not, UsageError for its words."""
    command: Any = get_command(app)
    rest = list(words)
    while subcommands := getattr(command, "commands", None):
        command = subcommands[rest.pop(0)]
    with command.make_context(command.name, rest) as context:
        return dict(context.params)


def options_unknown(app: typer.Typer, words: Sequence[str]) -> list[str]:
    """Of these words the options that their command does not have. KeyError for a command that is not."""
    command: Any = get_command(app)
    rest = list(words)
    while rest and (subcommands := getattr(command, "commands", None)):
        if rest[0].startswith("--"):
            del rest[:2]  # an option of the program itself, and its value
        else:
            command = subcommands[rest.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]


SPOKEN = re.compile(r"(hdvila-pipeline|hdvila-train) ([a-z-]+ [^`<()\"\n]+)")
"""A command with arguments in a sentence."""


def commands_in_messages() -> list[tuple[str, str]]:
    """(file, command) of the commands with arguments in the texts that people read: strings of code, and templates."""
    files = sorted(
        file for package in ("manifests", "pipeline", "train", "miniyoutube") for file in (REPO / package).rglob("*.*")
    )
    found = []
    for file in files:
        texts = strings_of(file.read_text()) if file.suffix == ".py" and file.name != "reference.py" else []
        texts += [re.sub("{{.*?}}", "1", file.read_text())] if file.suffix == ".j2" else []
        found += [(f"{file.relative_to(REPO)}", match[0]) for text in texts for match in SPOKEN.finditer(text)]
    return found


def strings_of(code: str) -> list[str]:
    """The strings of a module but for docstrings; what is filled in stands as 1."""
    tree = ast.parse(code)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in docs]
    inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    return [text_of(node) for node in nodes if id(node) not in inner]


def text_of(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(text_of(part) if isinstance(part, ast.Constant) else "1" for part in node.values)

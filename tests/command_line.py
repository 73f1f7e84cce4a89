"""Reads a command line as a program would, and runs nothing."""

from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

__all__ = ["UsageError", "options_unknown", "parsed"]

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

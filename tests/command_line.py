"""Reads a command line as a program would, and runs nothing."""

from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

__all__ = ["UsageError", "parsed"]

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

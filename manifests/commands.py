"""What the commands of both programs have in common on a command line."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from manifests.errors import UserError
from manifests.retired import retired_command


class PlainErrors(TyperGroup):
    """Commands whose errors do not show the validation library's own words."""

    retired: ClassVar[Mapping[str, str]]
    """The program's commands and options that are gone, and what to use instead."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command that the arguments name. UserError for one that is retired, or has a retired option."""
        if said := retired_command(args, self.retired):
            raise UserError(said)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


def no_start(word: str, starts: Collection[str], meant: str = "") -> typer.BadParameter:
    """Says that `init` knows no such start, and which is meant, or all there are."""
    near = meant or next(iter(difflib.get_close_matches(word, starts, n=1)), "")
    hint = f"did you mean {near}?" if near else f"choose from {', '.join(starts)}"
    return typer.BadParameter(f"{word!r} is nothing that a run starts from; {hint}")


def write_start(file: Path, text: str, then: str) -> None:
    """Writes a configuration and prints the command that comes then. UserError if the file is there already."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise UserError(f"{file}: exists already; name another with --out") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); name another with --out") from None
    print(f"{file}: read it through, then: {then} {file}")

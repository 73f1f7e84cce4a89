"""What the commands of both programs have in common on a command line."""

from typing import Any

import typer
from typer.core import TyperGroup


class PlainErrors(TyperGroup):
    """Commands whose errors do not show the validation library's own words."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

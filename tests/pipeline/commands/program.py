"""Runs a command of the program as a person would."""

from typer.testing import CliRunner

from manifests.errors import UserError
from pipeline.cli import app


def said(*words: str) -> str:
    """What a command that ends well prints; raises the UserError of one that does not."""
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout

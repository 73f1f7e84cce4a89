"""What is wrong with a command line is said in this project's words."""

import pytest
from typer.testing import CliRunner

import pipeline.cli
import train.cli

WRONG = {"pipeline": ["sql", "out", "SELECT 1", "--format", "tabel"], "trainer": ["eval", "x", "--batch", "many"]}


@pytest.mark.parametrize(("app", "program"), [(pipeline.cli.app, "pipeline"), (train.cli.app, "trainer")])
def test_a_value_that_an_option_does_not_take_is_said_without_the_library(app, program: str) -> None:
    done = CliRunner().invoke(app, WRONG[program])

    assert done.exit_code == 2 and "Invalid value for '--" in done.output
    assert "Value error" not in done.output

"""The command that asks for rejects to be tried again."""

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from manifests.errors import UserError
from manifests.exits import NothingMatched
from pipeline.commands.retry import retry
from pipeline.engine.store.store import Store
from tests.pipeline.rejected import a_store_with_rejects


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return a_store_with_rejects(tmp_path)


def test_the_command_says_what_it_asked_for(store: Store) -> None:
    app = Typer()
    app.command()(retry)
    done = CliRunner().invoke(app, [store.url, "--reason", "private"])
    assert done.exit_code == 0
    assert "1 videos" in done.stdout
    none = CliRunner().invoke(app, [store.url, "--reason", "drm"])
    assert isinstance(none.exception, NothingMatched) and "no video was rejected for drm" in str(none.exception)
    wrong = CliRunner().invoke(app, [store.url, "--reason", "nonsense"])
    assert isinstance(wrong.exception, UserError)

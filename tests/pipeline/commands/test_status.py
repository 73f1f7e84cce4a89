"""The command that says how a run is doing."""

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from manifests.errors import UserError
from pipeline.commands.status import status
from pipeline.engine.store.store import Store
from pipeline.report.status import read_status
from tests.pipeline.rejected import a_store_with_rejects


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return a_store_with_rejects(tmp_path)


def test_status_counts_rejects_and_says_when_the_first_is_tried_again(store: Store) -> None:
    found = read_status(store)
    assert found.rejects == {"extract": {"private": 1, "rate_limited": 1}, "media": {"truncated": 1, "private": 1}}
    assert found.waiting == 1
    assert found.next_try_at
    app = Typer()
    app.command()(status)
    shown = CliRunner().invoke(app, [store.url])
    assert shown.exit_code == 0
    assert "rate_limited" in shown.stdout
    with_none = CliRunner().invoke(app, [f"{store.url}/nothing"])
    assert isinstance(with_none.exception, UserError)

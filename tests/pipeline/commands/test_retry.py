"""The command that asks for rejects to be tried again."""

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from manifests.errors import UserError
from manifests.exits import NothingMatched
from manifests.reasons import Reason
from pipeline.commands.retry import retry
from pipeline.engine.attempt import reject_row
from pipeline.engine.store import Store
from pipeline.engine.unit import Reject


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two rejects of the extraction, one of the media."""
    made = Store(str(tmp_path))
    for stage, rejects in {
        "extract": [Reject(Reason.PRIVATE, "a"), Reject(Reason.RATE_LIMITED, "b")],
        "media": [Reject(Reason.TRUNCATED, "c"), Reject(Reason.PRIVATE, "d")],
    }.items():
        made.write_rejects(stage, "u", [reject_row(stage, reject, 1) for reject in rejects])
        made.commit(stage, "u", {})
    return made


def test_the_command_says_what_it_asked_for(store: Store) -> None:
    app = Typer()
    app.command()(retry)
    done = CliRunner().invoke(app, [store.url, "--reason", "private"])
    assert done.exit_code == 0
    assert "1 videos" in done.stdout
    none = CliRunner().invoke(app, [store.url, "--reason", "drm"])
    assert isinstance(none.exception, NothingMatched) and "no video was turned away for drm" in str(none.exception)
    wrong = CliRunner().invoke(app, [store.url, "--reason", "nonsense"])
    assert isinstance(wrong.exception, UserError)

"""`identity pause|resume NAME DIR`."""

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.config import RunConfig
from pipeline.engine.run.status_files import read_control
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import check_identity
from tests.pipeline.commands.program import said


def run(*words: str) -> str:
    return said("identity", *words)


@pytest.fixture
def out(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    check_identity(store, RunConfig(out=store.url))
    store.write_json("politeness.json", {"at": 0.0, "identities": [{"name": "one"}, {"name": "two"}]})
    return store


def test_an_identity_is_paused_and_resumed_by_name(out: Store, tmp_path: Path) -> None:
    assert "identity one paused" in run("pause", "one", str(tmp_path))
    assert read_control(out).paused_identities == ("one",)
    assert not read_control(out).paused  # the run itself goes on
    run("pause", "two", str(tmp_path))
    run("resume", "one", str(tmp_path))
    assert read_control(out).paused_identities == ("two",)


def test_an_unknown_name_is_refused_with_the_known_ones(out: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no identity is called three; choose from: one, two"):
        run("pause", "three", str(tmp_path))


def test_a_run_that_asked_no_site_has_no_identity(out: Store, tmp_path: Path) -> None:
    (tmp_path / "politeness.json").unlink()
    with pytest.raises(UserError, match="no identity is called one; none has asked a site yet"):
        run("pause", "one", str(tmp_path))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        run("pause", "one", str(tmp_path))

"""The files by which people meet a run: damaged ones count as absent."""

import json
from pathlib import Path

import pytest

from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"state": 3}', b"\xff"])
def test_damaged_files_count_as_absent(store: Store, damaged: bytes) -> None:
    store.write("status.json", damaged)
    store.write("control.json", damaged)

    assert read_run_status(store) is None
    assert not Desk(store).is_paused


def test_unknown_fields_are_passed_over(store: Store) -> None:
    store.write("control.json", json.dumps({"paused": True, "louder": 3}).encode())

    assert Desk(store).is_paused

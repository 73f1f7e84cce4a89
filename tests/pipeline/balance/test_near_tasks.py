"""Searches are cut into tasks that leave nothing out."""

import pickle
from pathlib import Path

import pytest

from pipeline.balance.near_tasks import TASK_BYTES, PatientFiles, tasks_of
from pipeline.engine.files import Files


@pytest.mark.parametrize("n_tasks", [0, 0.001, 1, 1.5, 5, 7, 200])
def test_tasks_hold_every_column_once_and_read_no_more_than_they_may_or_a_column(n_tasks: float) -> None:
    n_bytes = round(n_tasks * TASK_BYTES)
    tasks = tasks_of(8, n_bytes)

    assert [column for columns in tasks for column in columns] == list(range(8))
    assert len(tasks) == min(8, max(1, -(-n_bytes // TASK_BYTES)))
    assert max(map(len, tasks)) - min(map(len, tasks)) <= 1


def test_files_used_on_another_machine_wait_as_long_as_the_drivers(tmp_path: Path) -> None:
    there = pickle.loads(pickle.dumps(PatientFiles(Files(str(tmp_path), patience_s=1800.0))))

    assert there.there().patience_s == 1800.0

"""Searches and merges are cut into tasks that leave nothing out."""

import pickle
from pathlib import Path

import pytest

from pipeline.balance.near_files import N_CELLS
from pipeline.balance.near_tasks import TASK_BYTES, PatientFiles, groups_in, spans_of
from pipeline.engine.files import Files


@pytest.mark.parametrize("n_tasks", [0.001, 1, 1.5, 7, 200, 100_000])
def test_tasks_hold_every_cell_once_and_read_no_more_than_they_may(n_tasks: float) -> None:
    n_bytes = round(n_tasks * TASK_BYTES)
    spans = spans_of(n_bytes)

    assert [cell for span in spans for cell in span] == list(range(N_CELLS))
    assert len(spans) == N_CELLS or n_bytes / len(spans) <= TASK_BYTES
    assert len(spans) == 1 or n_bytes / len(spans) > TASK_BYTES / 2 or len(spans) == N_CELLS


def test_the_groups_of_one_span_end_where_those_of_the_next_begin() -> None:
    spans = [groups_in(cells) for cells in spans_of(8 * TASK_BYTES)]

    assert spans[0][0] == 0
    assert [end for _, end in spans[:-1]] == [begin for begin, _ in spans[1:]]


def test_files_used_on_another_machine_wait_as_long_as_the_drivers(tmp_path: Path) -> None:
    there = pickle.loads(pickle.dumps(PatientFiles(Files(str(tmp_path), patience_s=1800.0))))

    assert there.there().patience_s == 1800.0

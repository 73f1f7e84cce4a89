"""Searches are cut into tasks that leave nothing out."""

import pickle
from pathlib import Path

import pytest

from pipeline.engine.store.files import Files
from pipeline.likeness.tasks import PIECE_BYTES, TASK_BYTES, PatientFiles, Piece, tasks_of


@pytest.mark.parametrize("n_tasks", [0, 0.001, 1, 1.5, 5, 7, 60])
def test_tasks_hold_every_column_once_and_read_no_more_than_they_may_or_a_column(n_tasks: float) -> None:
    n_column = round(n_tasks * TASK_BYTES / 8)
    n_bytes = 8 * n_column
    tasks = tasks_of([n_column - n_column // 3, n_column // 3], [9] * 8)

    assert [piece for task in tasks for piece in task] == [Piece(column, 0, 2) for column in range(8)]
    assert len(tasks) == min(8, max(1, -(-n_bytes // TASK_BYTES)))
    assert max(map(len, tasks)) - min(map(len, tasks)) <= 1


def test_a_column_of_many_files_is_cut_into_pieces_of_a_size_and_smaller_ones_where_more_is_looked_for() -> None:
    sizes = [30 * 2**20] * 80 + [2**20] * 3 + [7]
    tasks = tasks_of(sizes, [800, 100, 100])
    n_each = []
    for column in range(3):
        pieces = [piece for task in tasks for piece in task if piece.column == column]
        assert [i for piece in pieces for i in range(piece.begin, piece.end)] == list(range(len(sizes)))
        n_bytes = [sum(sizes[piece.begin : piece.end]) for piece in pieces]
        assert max(n_bytes) < PIECE_BYTES + 30 * 2**20 and max(n_bytes[:-1]) - min(n_bytes[:-1]) <= 30 * 2**20
        n_each.append(len(pieces))
    assert n_each == [8, 4, 4] and all(len(task) == 1 for task in tasks)
    assert len(tasks_of([PIECE_BYTES + 1], [5, 5])) == 2, "a file stays whole"


def test_files_used_on_another_machine_wait_as_long_as_the_drivers(tmp_path: Path) -> None:
    there = pickle.loads(pickle.dumps(PatientFiles(Files(str(tmp_path), patience_s=1800.0))))

    assert there.there().patience_s == 1800.0

"""Rows: named tensors with a row each, whoever carries them."""

import pickle

import pytest
import torch

from train.rows import Rows, joined


def some(n: int = 5) -> Rows:
    return Rows(input_ids=torch.arange(2 * n).reshape(n, 2), labels=torch.arange(n), nothing=None)


def test_micro_batches_joined_again_are_the_rows() -> None:
    rows = some()
    parts = rows.split(2)

    assert [len(part) for part in parts] == [2, 2, 1] and rows.names() == ("input_ids", "labels")
    again = joined(parts)
    assert torch.equal(again.input_ids, rows.input_ids) and torch.equal(again["labels"], rows.labels)
    assert parts[0].input_ids.data_ptr() == rows.input_ids.data_ptr(), "a slice copies nothing"
    assert joined([rows]) is rows


def test_tensors_of_unequal_length_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"labels \(3,\)"):
        Rows(input_ids=torch.zeros(2, 4), labels=torch.zeros(3))


def test_a_name_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match="input_ids, labels"):
        _ = some().mlm_labels
    assert some().get("mlm_labels") is None and "mlm_labels" not in some()


def test_added_tensors_leave_the_old_rows_as_they_were_and_travel() -> None:
    rows = some()
    more = rows.having({"labels": torch.ones(5), "extra": torch.zeros(5)})

    assert more.names() == ("input_ids", "labels", "extra") and rows.labels.tolist() == [0, 1, 2, 3, 4]
    there = pickle.loads(pickle.dumps(more))
    assert there.names() == more.names() and torch.equal(there.labels, more.labels)

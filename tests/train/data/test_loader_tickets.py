"""What a loader asks its workers for, and how it answers for samples and workers that fail: without processes."""

from __future__ import annotations

import threading

import pytest
import torch

from manifests.errors import UserError
from tests.train.data.loaders import VIEWS, a_loader
from train.data import loader
from train.data.loader import ClipDataset, Ticket
from train.data.read import Reader, ShardUnreadable


def a_dataset(index, **options) -> ClipDataset:
    return ClipDataset(index, VIEWS, "prepared", seed=1, **options)


def poisoned_in(folder, *samples):
    (folder / "poisoned.txt").write_text("".join(f"{sample}\n" for sample in samples))
    return folder


def test_poisoned_samples_are_asked_for_no_more_and_a_position_of_nothing_else_stops(index, tmp_path):
    wanted = a_loader(index).tickets(0)[0]

    one = a_loader(index, run_dir=poisoned_in(tmp_path, wanted.sample, wanted.spares[1]))
    assert one.tickets(0)[0].sample == wanted.spares[0] and one.tickets(0)[0].spares == wanted.spares[2:]
    one = a_loader(index, run_dir=poisoned_in(tmp_path, wanted.sample, *wanted.spares[:-1]))
    assert one.tickets(0)[0] == Ticket(0, 0, wanted.spares[-1], ())
    one = a_loader(index, run_dir=poisoned_in(tmp_path, wanted.sample, *wanted.spares))
    with pytest.raises(UserError, match=r"position 0: .* crash the decoder; see .*poisoned\.txt"):
        one.tickets(0)


def test_a_sample_is_not_replaced_by_one_of_its_own_batch(index):
    one = a_loader(index, batch=8)  # of 11 an epoch: half an epoch on is in the same batch

    tickets = one.tickets(0)

    own = {ticket.sample for ticket in tickets}
    assert not own & {ticket.spares[0] for ticket in tickets}


def test_augmentation_is_drawn_from_seed_epoch_and_position_and_evaluation_draws_nothing(index):
    def shown(seed, epoch, position):
        dataset = ClipDataset(index, VIEWS, "prepared", seed=seed)
        return dataset[Ticket(epoch, position, 3)].img_other

    assert torch.equal(shown(1, 2, 3), shown(1, 2, 3)) and torch.equal(shown(None, 0, 0), shown(None, 5, 9))
    others = [shown(seed, epoch, position) for seed in (1, 2) for epoch in (2, 3) for position in range(3)]
    assert len({other.numpy().tobytes() for other in others}) > 6


class FromAfar:
    """A reader of an object store that fails at some samples; it notes what it is asked for, and by which thread."""

    is_remote = True

    def __init__(self, index, failures):
        self.reader, self.failures, self.asked = Reader(index), dict(failures), []

    def read(self, sample, extensions):
        self.asked.append((sample, threading.current_thread() is threading.main_thread()))
        if sample in self.failures:
            raise self.failures[sample]
        return self.reader.read(sample, extensions)


def far_dataset(index, monkeypatch, failures=()):
    """(a data set that reads through a `FromAfar`, its reader)."""
    reader = FromAfar(index, failures)
    monkeypatch.setattr(loader, "Reader", lambda *_: reader)
    return a_dataset(index), reader


def test_the_first_usable_spare_takes_the_place_and_what_was_lost_before_it_is_reported(index, monkeypatch):
    gone = dict.fromkeys(range(3), ShardUnreadable("there/shard.tar", "gone"))
    dataset, _ = far_dataset(index, monkeypatch, gone)

    found = dataset[Ticket(0, 6, 1, (2, 5, 0))]
    nothing = dataset[Ticket(0, 6, 1, (2, 0))]

    assert (found.keys, found.samples, found.positions) == ([index.key(5)], [5], [6])
    assert [lost.key for lost in found.lost] == [index.key(1), index.key(2)]
    assert nothing.keys == [] and len(nothing.lost) == 3 and len(nothing.tensors) == 0
    assert {lost.shard for lost in nothing.lost} == {"there/shard.tar"}

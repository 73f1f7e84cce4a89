"""What a loader asks its workers for, and how it answers for samples and workers that fail: without processes."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch

from manifests.errors import UserError
from tests.train.data.loaders import VIEWS, a_loader
from train.data import loader
from train.data.loader import ClipDataset, Loaded, Lost, PlannedLoader, Ticket
from train.data.plan import Mixing, Stream, plan
from train.data.read import Reader, ShardUnreadable
from train.data.workers import Workers
from train.rows import Rows


def a_dataset(index, **options) -> ClipDataset:
    return ClipDataset(index, VIEWS, "prepared", seed=1, **options)


def test_a_ticket_names_its_position_its_sample_and_four_spares_half_an_epoch_on(index):
    one = a_loader(index, batch=4)
    order = plan(index, 1, 0, Mixing(window_shards=2)).tolist()

    tickets = [ticket for step in range(2) for ticket in one.tickets(step)]

    assert [(t.epoch, t.position, t.sample) for t in tickets] == [(0, i, order[i]) for i in range(8)]
    assert [t.spares for t in tickets] == [tuple(order[(i + 5 + k) % 11] for k in range(4)) for i in range(8)]
    assert one.tickets(2)[-1].epoch == 1 and one.tickets(2)[-1].position == 0, "the next epoch goes on in the batch"


def poisoned_in(folder, *samples):
    (folder / "poisoned.txt").write_text("".join(f"{sample}\n" for sample in samples))
    return folder


def asked_for(one, first=0) -> set[int]:
    """The samples that an epoch asks for from this step on, spares too."""
    tickets = [ticket for step in range(first, first + 3) for ticket in one.tickets(step)]
    return {sample for ticket in tickets for sample in (ticket.sample, *ticket.spares)}


def test_poisoned_samples_are_asked_for_no_more_and_a_position_of_nothing_else_stops(index, tmp_path):
    wanted = a_loader(index).tickets(0)[0]

    one = a_loader(index, run_dir=poisoned_in(tmp_path, wanted.sample, wanted.spares[1]))
    assert one.tickets(0)[0].sample == wanted.spares[0] and one.tickets(0)[0].spares == wanted.spares[2:]
    one = a_loader(index, run_dir=poisoned_in(tmp_path, wanted.sample, *wanted.spares[:-1]))
    assert one.tickets(0)[0] == Ticket(0, 0, wanted.spares[-1], ())
    one = a_loader(index, run_dir=poisoned_in(tmp_path, wanted.sample, *wanted.spares))
    with pytest.raises(UserError, match=r"position 0: .* crash the decoder; see .*poisoned\.txt"):
        one.tickets(0)


def test_a_data_set_that_grew_has_a_list_of_its_own(index, tmp_path):
    grown = Stream(index, 1, Mixing(), 4, first_step=7)
    (tmp_path / f"poisoned-{index.manifest.sha256[:12]}.txt").write_text("4\n9\n")
    poisoned_in(tmp_path, 3)

    assert asked_for(PlannedLoader(a_dataset(index), grown, run_dir=tmp_path), 7) == {*range(11)} - {4, 9}
    assert asked_for(a_loader(index, run_dir=tmp_path)) == {*range(11)} - {3}


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


def shares(*numbers: int, lost: tuple[str, ...] = ()) -> Loaded:
    names = [str(n) for n in numbers]
    rows = Rows(image=torch.tensor(numbers)[:, None])
    return Loaded(rows, names, names, list(numbers), list(numbers), [Lost(key, "x") for key in lost])


def test_shares_are_joined_in_order_and_cut_with_their_losses_first() -> None:
    whole = loader.join([shares(1, 2, lost=("a",)), shares(3), shares(4, 5, lost=("b", "c"))])
    first, rest = whole.cut(2)

    assert (whole.samples, whole.texts, whole.positions) == ([1, 2, 3, 4, 5], list("12345"), [1, 2, 3, 4, 5])
    assert [(part.samples, part.keys, part.tensors.image.flatten().tolist()) for part in (first, rest)] == [
        ([1, 2], ["1", "2"], [1, 2]),
        ([3, 4, 5], ["3", "4", "5"], [3, 4, 5]),
    ]
    assert ([x.key for x in first.lost], rest.lost) == (["a", "b", "c"], [])
    assert loader.join([first]) is first


def test_a_step_may_need_more_or_fewer_chunks_than_its_share_divides_into(index, steps):
    for chunk in (1, 3, 4, 9):
        one = PlannedLoader(a_dataset(index), Stream(index, 1, Mixing(window_shards=2), 4), workers=Workers(0, chunk))
        assert [loaded.keys for loaded in one.steps(0, 3)] == [loaded.keys for loaded in steps[:3]]


OUT_OF_MEMORY, CRASHED = -9, -11


class Chunks:
    """What torch makes of a loader: chunks until so many were given, then some of its workers die."""

    def __init__(self, made, n_good, deaths):
        self.lists, self.made, self.n_good, self.deaths = iter(made.batch_sampler), made, n_good, deaths
        self.killed = 0
        self._workers = [SimpleNamespace(pid=pid, exitcode=code, kill=self.kill) for pid, code in deaths.items()]

    def kill(self):
        self.killed += 1

    def __next__(self):
        if self.n_good == 0:
            pids = ", ".join(str(pid) for pid in self.deaths)
            raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly")
        self.n_good -= 1
        return loader.join([self.made.dataset[ticket] for ticket in next(self.lists)])


def tries(monkeypatch, *outcomes, on_hand=((7, 3),)):
    """What a loader's tries end in: (chunks that come, exit code by process id); those after them go well.

    `on_hand`: which sample each process was loading when it died.
    """
    made = []

    def started(asked):
        chunks = Chunks(asked, *outcomes[len(made)] if len(made) < len(outcomes) else (-1, {}))
        asked.dataset.on_hand[: len(on_hand)] = torch.tensor(on_hand)
        made.append(chunks)
        return chunks

    monkeypatch.setattr(loader, "DataLoader", lambda dataset, **options: SimpleNamespace(dataset=dataset, **options))
    monkeypatch.setattr(loader, "started", started)
    return made


def test_workers_killed_three_times_in_a_row_end_the_run_and_each_time_the_others_with_them(
    index, monkeypatch, tmp_path
):
    told = []
    made = tries(monkeypatch, (0, {7: -9}), (0, {7: -7}), (0, {7: -15}), (0, {7: -9}))
    monkeypatch.setattr(loader, "killed_from_outside", lambda *said: told.append(said) or "killed")

    with pytest.raises(UserError, match="killed"):
        list(a_loader(index, world=2, workers=1, run_dir=tmp_path).steps(0, 4))

    assert [chunks.killed for chunks in made] == [1, 1, 1] and list(tmp_path.iterdir()) == []
    most = Workers(1, chunk=2, prefetch=2).max_shm_bytes(VIEWS, 2)
    assert told == [({7: -15}, [index.key(3)], most)], "for this rank's share of the batch"


@pytest.mark.parametrize(
    ("dead", "poisoned"),
    [
        ([(71,)], ""),
        ([(71,), (72,)], ""),
        ([(71,), (72,), (71, 72)], "0\n5\n"),
        ([(72,), (71, 72), (71,)], "5\n0\n"),
    ],
)
def test_a_second_death_on_a_sample_poisons_it_for_this_run_and_the_next(index, monkeypatch, tmp_path, dead, poisoned):
    tries(monkeypatch, *[(0, dict.fromkeys(pids, CRASHED)) for pids in dead], on_hand=((71, 0), (72, 5)))
    one, bad = a_loader(index, workers=2, run_dir=tmp_path), {int(line) for line in poisoned.split()}

    read = {sample for step in one.steps(0, 3) for sample in step.samples}

    listed = [path.read_text() for path in tmp_path.iterdir()]
    assert listed == [poisoned] * bool(poisoned) and not read & bad
    assert asked_for(one) == asked_for(a_loader(index, run_dir=tmp_path)) == {*range(11)} - bad


@pytest.mark.parametrize(
    "dead", [[99], [7, 7, 7]], ids=["who held nothing", "a poisoned sample is not tried, so it was not that"]
)
def test_a_worker_that_dies_without_a_sample_in_hand_ends_the_run(index, monkeypatch, dead):
    tries(monkeypatch, *[(0, {pid: CRASHED}) for pid in dead])

    with pytest.raises(UserError, match="died while idle"):
        list(a_loader(index, workers=1).steps(0, 1))


@pytest.mark.parametrize(
    ("deaths", "poisoned"),
    [
        ([{7: CRASHED}, {7: CRASHED}], ["3\n"]),
        ([{7: CRASHED}, {7: OUT_OF_MEMORY}], []),
        ([{7: CRASHED, 8: CRASHED}, {7: OUT_OF_MEMORY, 8: CRASHED}], ["5\n"]),
    ],
)
def test_only_a_death_that_is_a_samples_own_is_held_against_it(index, monkeypatch, tmp_path, deaths, poisoned):
    tries(monkeypatch, *[(0, exits) for exits in deaths], on_hand=((7, 3), (8, 5)))

    assert len(list(a_loader(index, workers=2, run_dir=tmp_path).steps(0, 2))) == 2
    assert [path.read_text() for path in tmp_path.iterdir()] == poisoned

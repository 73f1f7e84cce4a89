"""What a loader asks its workers for, and how it answers for samples and workers that fail: without processes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from manifests.errors import UserError
from tests.train.data.loaders import VIEWS, a_loader
from train.data import loader
from train.data.loader import ClipDataset, Loaded, Lost, PlannedLoader, Ticket, read_once, unusable
from train.data.plan import Mixing, Stream
from train.data.read import ShardUnreadable
from train.data.workers import Workers
from train.rows import Rows


def a_dataset(index, **options) -> ClipDataset:
    return ClipDataset(index, VIEWS, "prepared", seed=1, **options)


def test_a_ticket_names_its_position_its_sample_and_four_spares_half_an_epoch_on(index):
    one = a_loader(index, batch=4)
    order = [one._stream.order(0).at(position) for position in range(11)]

    tickets = [ticket for step in range(2) for ticket in one.tickets(step)]

    assert [(t.epoch, t.position, t.sample) for t in tickets] == [(0, i, order[i]) for i in range(8)]
    assert [t.spares for t in tickets] == [tuple(order[(i + 5 + k) % 11] for k in range(4)) for i in range(8)]
    assert one.tickets(2)[-1].epoch == 1 and one.tickets(2)[-1].position == 0, "the next epoch goes on in the batch"


def test_a_set_of_one_sample_is_its_own_spare(index):
    class Single:
        shard, category = np.zeros(1, np.int32), np.zeros(1, np.int32)

    stream = Stream(Single(), 1, Mixing(), 2)
    (first, second) = PlannedLoader(a_dataset(index), stream).tickets(0)

    assert (first.sample, first.spares, first.epoch, second.epoch) == (0, (0, 0, 0, 0), 0, 1)


def test_poisoned_samples_are_asked_for_no_more_and_a_position_of_nothing_else_stops(index, tmp_path):
    one = a_loader(index, run_dir=tmp_path)
    wanted = one.tickets(0)[0]
    one._poisoned = {wanted.sample, wanted.spares[1]}
    assert one.tickets(0)[0].sample == wanted.spares[0] and one.tickets(0)[0].spares == wanted.spares[2:]

    one._poisoned = {wanted.sample, *wanted.spares[:-1]}
    assert one.tickets(0)[0] == Ticket(0, 0, wanted.spares[-1], ())
    one._poisoned = {wanted.sample, *wanted.spares}
    with pytest.raises(UserError, match=r"position 0: .* crash the decoder; see .*poisoned\.txt"):
        one.tickets(0)


def test_a_second_death_on_a_sample_poisons_it_and_the_list_is_read_again(index, tmp_path):
    one = a_loader(index, workers=2, run_dir=tmp_path)
    path = tmp_path / "poisoned.txt"
    one._dataset.on_hand[:] = torch.tensor([[71, 0], [72, 5]])

    one._suspect({71})
    assert one._poisoned == set() and not path.exists(), "one death is none"
    one._suspect({72})
    assert one._poisoned == set(), "another sample's"
    one._suspect({71, 72})
    assert one._poisoned == {0, 5} and path.read_text() == "0\n5\n"
    assert a_loader(index, run_dir=tmp_path)._poisoned == {0, 5}
    with pytest.raises(UserError, match="died while idle"):
        one._suspect({71}), "a poisoned sample is not tried, so it was not that"
    with pytest.raises(UserError, match="died while idle"):
        one._suspect({99})


def test_without_a_folder_poisoned_samples_are_known_to_this_process_alone(index):
    one = a_loader(index, workers=1)
    one._dataset.on_hand[:] = torch.tensor([[71, 3]])
    for _ in range(2):
        one._suspect({71})

    assert one._poisoned == {3}


def test_a_data_set_that_grew_has_a_list_of_its_own(index, tmp_path):
    grown = Stream(index, 1, Mixing(), 4, first_step=7)
    (tmp_path / "poisoned.txt").write_text("3\n")
    (tmp_path / f"poisoned-{index.manifest.sha256[:12]}.txt").write_text("4\n9\n")

    assert PlannedLoader(a_dataset(index), grown, run_dir=tmp_path)._poisoned == {4, 9}
    assert a_loader(index, run_dir=tmp_path)._poisoned == {3}


def test_who_held_what_is_said_of_the_workers_that_are_asked_about(index):
    dataset = a_dataset(index, n_workers=3)
    assert dataset.on_hand.shape == (3, 2) and dataset.held_by([-1]) == []
    dataset.on_hand[:] = torch.tensor([[71, 0], [72, -1], [73, 5]])

    assert dataset.held_by([71, 72]) == [index.key(0)] and dataset.held_by({73}) == [index.key(5)]


def test_a_worker_says_what_it_is_on_while_it_reads_and_that_it_is_done(index):
    dataset, seen = a_dataset(index), []
    reader = dataset._reader
    assert dataset.on_hand.shape == (1, 2)

    def read(sample, extensions):
        seen.append(dataset.on_hand[0].tolist()[1])
        return reader.read(sample, extensions)

    dataset._reader = SimpleNamespace(read=read)
    dataset[Ticket(0, 0, 4)]

    assert seen == [4] and dataset.on_hand[0, 1] == -1 and dataset.on_hand[0, 0] > 0


@pytest.mark.parametrize("in_worker", [True, False])
def test_a_worker_that_hangs_ends_after_its_time_and_the_main_process_never(index, monkeypatch, in_worker):
    calls = []
    fake = SimpleNamespace(
        dump_traceback_later=lambda seconds, exit: calls.append((seconds, exit)),
        cancel_dump_traceback_later=lambda: calls.append("off"),
    )
    monkeypatch.setattr(loader, "faulthandler", fake)
    info = SimpleNamespace(id=0) if in_worker else None
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: info)

    for dataset in (a_dataset(index), a_dataset(index, timeout_s=7.0)):
        dataset[Ticket(0, 0, 1)]

    assert [call for call in calls if call != "off"] == ([(300.0, True), (7.0, True)] if in_worker else [])
    assert calls[-1] == "off"


def test_augmentation_is_drawn_from_seed_epoch_and_position_and_evaluation_draws_nothing(index):
    def shown(seed, epoch, position):
        dataset = ClipDataset(index, VIEWS, "prepared", seed=seed)
        return dataset[Ticket(epoch, position, 3)].img_other

    assert torch.equal(shown(1, 2, 3), shown(1, 2, 3)) and torch.equal(shown(None, 0, 0), shown(None, 5, 9))
    others = [shown(seed, epoch, position) for seed in (1, 2) for epoch in (2, 3) for position in range(3)]
    assert len({other.numpy().tobytes() for other in others}) > 6


class Refusing:
    """A reader whose shard is gone, of samples below a number."""

    is_remote = True

    def __init__(self, reader, below):
        self._reader, self._below, self.asked = reader, below, []

    def read(self, sample, extensions):
        self.asked.append(sample)
        if sample < self._below:
            raise ShardUnreadable("there/shard.tar", "gone")
        return self._reader.read(sample, extensions)


def test_the_first_usable_spare_takes_the_place_and_what_was_lost_before_it_is_reported(index):
    dataset = a_dataset(index)
    dataset._reader = Refusing(dataset._reader, below=3)

    found = dataset[Ticket(0, 6, 1, (2, 5, 0))]
    nothing = dataset[Ticket(0, 6, 1, (2, 0))]

    assert (found.keys, found.samples, found.positions) == ([index.key(5)], [5], [6])
    assert [lost.key for lost in found.lost] == [index.key(1), index.key(2)]
    assert nothing.keys == [] and len(nothing.lost) == 3 and len(nothing.tensors) == 0
    assert {lost.shard for lost in nothing.lost} == {"there/shard.tar"}


@pytest.mark.parametrize(("n", "at_once"), [(1, False), (2, True)])
def test_two_samples_of_an_object_store_are_fetched_at_the_same_time_and_nothing_is_left_over(index, n, at_once):
    dataset = a_dataset(index)
    dataset._reader = Refusing(dataset._reader, below=0)
    tickets = [Ticket(0, position, position + 3) for position in range(n)]
    kept = []
    dataset._load = lambda ticket, sample: kept.append(len(dataset._coming)) or loader.nothing(VIEWS)

    dataset.__getitems__(tickets)

    assert kept == [n if at_once else 0] * n and dataset._coming == {}
    assert sorted(dataset._reader.asked) == ([3, 4] if at_once else [])


def test_what_the_view_does_not_take_is_none_and_anything_else_a_mistake(index):
    loaded = a_dataset(index)[Ticket(0, 0, 1)]

    assert loaded.img_middle is not None and loader.nothing(VIEWS).img_nothing is None
    with pytest.raises(AttributeError, match="texs"):
        _ = loaded.texs


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


@pytest.mark.parametrize(
    ("n", "reasons", "shard", "alike"),
    [(5, 1, "", True), (4, 1, "", False), (5, 2, "", False), (5, 1, "there.tar", False), (1, 1, "", False)],
)
def test_only_more_losses_than_a_position_has_tries_that_all_say_the_same_point_to_the_installation(
    n: int, reasons: int, shard: str, alike: bool
) -> None:
    message = unusable([Lost(f"k{i}", f"reason {i % reasons}", shard) for i in range(n)])

    assert message.startswith(f"all {n} samples" if alike else "a position has neither") and "k0" in message
    assert alike or all(f"k{i}: reason" in message for i in range(n))


@pytest.mark.parametrize(("n", "more"), [(10, ""), (11, "… and 1 more"), (15, "… and 5 more")])
def test_ten_losses_are_named_and_the_others_counted(n: int, more: str) -> None:
    message = unusable([Lost(f"k{i}", f"reason {i}") for i in range(n)])

    assert len(message.splitlines()) == 1 + min(n, 10) + bool(more) and message.endswith(more or "k9: reason 9")


def test_evaluation_reads_each_sample_once_in_chunks_at_positions_from_0(index):
    parts = list(read_once(ClipDataset(index, VIEWS, "prepared", seed=None), [7, 2, 9, 4], n_workers=0, chunk=3))

    assert [part.samples for part in parts] == [[7, 2, 9], [4]]
    assert [part.positions for part in parts] == [[0, 1, 2], [3]]


def test_a_step_may_need_more_or_fewer_chunks_than_its_share_divides_into(index, steps):
    for chunk in (1, 3, 4, 9):
        one = PlannedLoader(a_dataset(index), Stream(index, 1, Mixing(window_shards=2), 4), workers=Workers(0, chunk))
        assert [loaded.keys for loaded in one.steps(0, 3)] == [loaded.keys for loaded in steps[:3]]


class Chunks:
    """A loader's chunks of which some come, until the worker that makes them dies."""

    def __init__(self, n_good=99, exitcode=0):
        self.n_good, self.killed = n_good, 0
        self._workers = [SimpleNamespace(pid=7, exitcode=exitcode, kill=self._kill)]

    def _kill(self):
        self.killed += 1


def tries(one, monkeypatch, *outcomes):
    """A loader whose tries end so: (steps that go well, exit code of the worker's death); those after them go well."""
    made = []

    def chunks(steps):
        made.append(Chunks(*outcomes[len(made)]) if len(made) < len(outcomes) else Chunks())
        return made[-1]

    def steps_of(given, steps):
        yield from steps[: given.n_good]
        if given.n_good < len(steps):
            raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")

    monkeypatch.setattr(one, "_chunks", chunks)
    monkeypatch.setattr(one, "_steps_of", steps_of)
    return made


def test_workers_killed_three_times_in_a_row_end_the_run_and_each_time_the_others_with_them(index, monkeypatch):
    one, told = a_loader(index, world=2, workers=1), []
    made = tries(one, monkeypatch, (0, -9), (0, -7), (0, -15), (0, -9))
    monkeypatch.setattr(loader, "killed_from_outside", lambda *said: told.append(said) or "killed")
    one._dataset.on_hand[:] = torch.tensor([[7, 3]])

    with pytest.raises(UserError, match="killed"):
        list(one.steps(0, 4))

    assert [chunks.killed for chunks in made] == [1, 1, 1] and one._suspects == set()
    assert told == [({7: -15}, [index.key(3)], one._workers.max_shm_bytes(VIEWS, 2))], (
        "for this rank's share of the batch"
    )


def test_a_step_that_goes_well_forgives_earlier_deaths_and_the_next_try_begins_behind_it(index, monkeypatch):
    one = a_loader(index, workers=1)
    made = tries(one, monkeypatch, (0, -9), (0, -9), (2, -9), (0, -9))

    assert list(one.steps(3, 8)) == [3, 4, 5, 6, 7] and len(made) == 5


def test_a_death_that_is_a_samples_own_is_held_against_it(index, monkeypatch):
    one, suspected = a_loader(index, workers=1), []
    monkeypatch.setattr(one, "_suspect", suspected.append)
    tries(one, monkeypatch, (0, -11), (1, -9))

    assert list(one.steps(0, 2)) == [0, 1]
    assert suspected == [{7}], "the second was killed from outside"


@pytest.mark.parametrize(("world", "count"), [(1, 2), (2, 2), (1, 0)])
def test_workers_are_asked_for_a_ranks_share_of_the_steps_ahead(index, monkeypatch, world, count):
    asked = {}
    monkeypatch.setattr(loader, "DataLoader", lambda dataset, **options: asked.update(options))
    monkeypatch.setattr(loader, "started", lambda made: iter(()))
    workers = Workers(count, chunk=1, prefetch=3)

    PlannedLoader(a_dataset(index), Stream(index, 1, Mixing(), 4), world=world, workers=workers)._chunks(range(1))

    assert asked["num_workers"] == count
    assert asked["prefetch_factor"] == (workers.chunks_ahead(4 // world) if count else None)


def test_an_evaluations_killed_workers_held_as_much_as_they_were_asked_for(index, monkeypatch):
    told = []
    monkeypatch.setattr(loader, "DataLoader", lambda *_, **__: None)
    monkeypatch.setattr(loader, "started", lambda made: broken())
    monkeypatch.setattr(loader, "dead_workers", lambda error, chunks: {7: -9})
    monkeypatch.setattr(loader, "killed_from_outside", lambda deaths, held, most: told.append(most) or "x")

    def broken():
        raise EOFError
        yield

    with pytest.raises(UserError):
        list(read_once(a_dataset(index), [1, 2, 3], n_workers=2, chunk=3))
    assert told == [Workers(2, 3).max_shm_bytes(VIEWS, 6)]

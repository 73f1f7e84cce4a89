"""Batches by position: workers, ranks and crashes change speed, never what a step holds."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time

import pytest
import torch

from hdvila_testing.drawn_set import a_sample, write_manifest, write_shard
from manifests.errors import UserError
from manifests.shards import read_manifest
from tests.train.data.loaders import SMALL, VIEWS, a_loader
from train.data import loader
from train.data.index import load_index
from train.data.loader import (
    ClipDataset,
    Lost,
    PlannedLoader,
    Ticket,
    Workers,
    read_once,
    unusable,
)
from train.data.plan import Mixing, Stream
from train.data.read import Reader, ShardUnreadable


def test_damaged_samples_among_good_ones_are_told_by_their_share_and_not_laid_to_the_installation():
    message = unusable([Lost(f"v{i}_00000", "cannot be decoded (ValueError: x)") for i in range(40)], n_good=60)

    assert message.startswith("40% of the 100 samples that were tried are unusable") and "installation" not in message


class FromAfar:
    """A reader of an object store that answers nobody before three ask."""

    is_remote = True

    def __init__(self, reader):
        self._reader, self._three = reader, threading.Barrier(3, timeout=300)

    def read(self, sample, extensions):
        self._three.wait()
        if sample == 1:
            raise ShardUnreadable("s3://there/shard.tar", "gone")
        return self._reader.read(sample, extensions)


def test_samples_of_an_object_store_are_on_their_way_together_and_come_in_order(index, monkeypatch):
    near = ClipDataset(index, VIEWS, "prepared", seed=1)
    monkeypatch.setattr(loader, "Reader", lambda *given: FromAfar(Reader(*given)))
    far = ClipDataset(index, VIEWS, "prepared", seed=1)
    tickets = [Ticket(0, position, sample) for position, sample in enumerate((4, 1, 7))]

    found = far.__getitems__(tickets)

    wanted = near.__getitems__([tickets[0], tickets[2]])
    assert [loaded.keys for loaded in found] == [wanted[0].keys, [], wanted[1].keys]
    assert [lost.shard for lost in found[1].lost] == ["s3://there/shard.tar"]
    for one, other in zip((found[0], found[2]), wanted, strict=True):
        assert torch.equal(one.img_other, other.img_other)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_pixel(index, steps, workers):
    for one, other in zip(steps, a_loader(index, workers=workers).steps(0, 6), strict=True):
        assert one.keys == other.keys and one.texts == other.texts
        assert torch.equal(one.img_middle, other.img_middle) and torch.equal(one.img_other, other.img_other)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_read_the_same_global_batches(index, steps, world):
    ranks = [list(a_loader(index, rank, world).steps(0, 6)) for rank in range(world)]

    for step, whole in enumerate(steps):
        assert [k for r in ranks for k in r[step].keys] == whole.keys
        assert torch.equal(torch.cat([r[step].img_other for r in ranks]), whole.img_other)


@pytest.mark.parametrize("first", [1, 3, 5])
def test_a_loader_that_starts_at_a_step_gives_what_it_would_have_given(index, steps, first):
    for one, other in zip(steps[first:], a_loader(index).steps(first, 6), strict=True):
        assert one.keys == other.keys and torch.equal(one.img_middle, other.img_middle)


def test_an_epoch_reads_every_clip_once_across_batches_that_do_not_divide_it(steps):
    keys = [k for s in steps for k in s.keys]

    assert len(set(keys[:11])) == 11 and len(set(keys[11:22])) == 11
    assert keys[:11] != keys[11:22]


def a_dataset_with(tmp_path, broken):
    """Eight samples of which one is damaged as `broken` does it."""
    samples = [a_sample(f"v{i}", shape=SMALL) for i in range(8)]
    broken(samples[3])
    entries = [
        write_shard(tmp_path / "s" / f"0000{i}.tar", samples[4 * i : 4 * i + 4], "train", tmp_path) for i in (0, 1)
    ]
    return load_index(read_manifest(str(write_manifest(tmp_path, entries))), "train")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_sample_is_replaced_and_reported(tmp_path, workers):
    index = a_dataset_with(tmp_path, lambda s: s.members.update(m4v=b"broken"))

    loaded = list(a_loader(index, workers=workers).steps(0, 2))

    lost = [x for s in loaded for x in s.lost]
    assert [x.key for x in lost] == ["v3_00000"] and "cannot be decoded" in lost[0].reason and not lost[0].shard
    assert [len(s.keys) for s in loaded] == [4, 4]
    assert "v3_00000" not in {k for s in loaded for k in s.keys}


def test_a_lost_shard_costs_its_samples_places_and_is_named(tmp_path):
    index = a_dataset_with(tmp_path, lambda s: None)
    (tmp_path / "s" / "00001.tar").unlink()

    loaded = list(a_loader(index).steps(0, 2))

    assert {x.shard for s in loaded for x in s.lost} == {str(tmp_path / "s" / "00001.tar")}
    assert {k for s in loaded for k in s.keys} <= {f"v{i}_00000" for i in range(4)}


def test_a_place_without_sample_or_spare_stops_and_says_why(tmp_path):
    index = a_dataset_with(tmp_path, lambda s: None)
    for number in (0, 1):
        (tmp_path / "s" / f"0000{number}.tar").unlink()

    with pytest.raises(UserError, match=r"step 0: .*a position has neither .*\n.*No such file"):
        list(a_loader(index).steps(0, 1))


class Crashing(ClipDataset):
    """A decoder that takes its process down on one sample, as a damaged file can do to C code."""

    def _load(self, ticket, sample):
        if self.index.key(sample) == "train00005_00000":
            self.on_hand[torch.utils.data.get_worker_info().id] = torch.tensor([os.getpid(), sample])
            os.kill(os.getpid(), signal.SIGSEGV)
        return super()._load(ticket, sample)


@pytest.mark.slow
def test_a_decoder_that_kills_its_worker_costs_one_sample(index, steps, tmp_path, deaths_seen_at_once):
    loaded = list(a_loader(index, workers=2, dataset=Crashing, run_dir=tmp_path).steps(0, 6))

    for one, other in zip(steps, loaded, strict=True):
        same = [k for k, o in zip(one.keys, other.keys, strict=True) if k == o]
        assert len(same) == 4 - one.keys.count("train00005_00000")
        assert "train00005_00000" not in other.keys
    assert [index.key(int(n)) for n in (tmp_path / "poisoned.txt").read_text().split()] == ["train00005_00000"]
    again = list(a_loader(index, workers=1, run_dir=tmp_path).steps(0, 6))  # a resumed run doesn't try it again
    assert [s.keys for s in again] == [s.keys for s in loaded]


class Hanging(ClipDataset):
    """A decoder that never comes back from one sample; the others may take as long as a busy machine makes them."""

    def _load(self, ticket, sample):
        if self.index.key(sample) == "train00002_00000":
            self.on_hand[torch.utils.data.get_worker_info().id] = torch.tensor([os.getpid(), sample])
            time.sleep(600)
        faulthandler.cancel_dump_traceback_later()
        return super()._load(ticket, sample)


@pytest.mark.slow
def test_a_decoder_that_hangs_costs_one_sample(index, tmp_path, capfd, deaths_seen_at_once):
    stream = Stream(index, 1, Mixing(), 4)
    dataset = Hanging(index, VIEWS, "prepared", seed=1, n_workers=1, timeout_s=1.0)
    loader = PlannedLoader(dataset, stream, workers=Workers(1, chunk=4, prefetch=1), run_dir=tmp_path)

    loaded = list(loader.steps(0, 3))

    assert [len(s.keys) for s in loaded] == [4, 4, 4]
    assert "train00002_00000" not in {k for s in loaded for k in s.keys}
    assert "Timeout" in capfd.readouterr().err  # with the stack of where it hung


def test_reading_once_keeps_the_order_and_leaves_lost_clips_out(tmp_path):
    index = a_dataset_with(tmp_path, lambda s: s.members.update(txt=b""))
    dataset = ClipDataset(index, VIEWS, "prepared", seed=None)

    parts = list(read_once(dataset, range(8), n_workers=0, chunk=3))

    assert [k for p in parts for k in p.keys] == [f"v{i}_00000" for i in range(8) if i != 3]
    assert [x.reason for p in parts for x in p.lost] == ["its caption is empty"]

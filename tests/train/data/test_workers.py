"""Workers that are killed from outside blame no sample, and what they may hold in shared memory is known."""

from __future__ import annotations

import os
import signal

import pytest
import torch
import yaml

from manifests.errors import UserError
from manifests.settings import load_config
from tests.conftest import REPO
from tests.train.data.loaders import VIEWS, a_loader
from train.batches import view_of
from train.config import TrainConfig
from train.data.loader import ClipDataset, read_once
from train.data.workers import Workers, killed_from_outside


class Killed(ClipDataset):
    """Workers that are killed, whatever they are on, as long as a file says so: a full /dev/shm, the OOM killer."""

    reason = signal.SIGKILL
    flag = None
    once = False

    def _load(self, ticket, sample):
        if self._is_to_die():
            self.on_hand[torch.utils.data.get_worker_info().id] = torch.tensor([os.getpid(), sample])
            os.kill(os.getpid(), self.reason)
        return super()._load(ticket, sample)

    def _is_to_die(self):
        if not self.once:
            return self.flag.exists()
        try:
            self.flag.unlink()  # of several workers that look at the same moment one dies
        except FileNotFoundError:
            return False
        return True


@pytest.mark.slow
@pytest.mark.parametrize("reason", [signal.SIGKILL, signal.SIGBUS])
def test_workers_killed_from_outside_end_the_run_and_blame_no_sample(index, steps, tmp_path, reason):
    flag = tmp_path / "full"
    flag.touch()
    kind = type("Full", (Killed,), {"reason": reason, "flag": flag})
    loader = a_loader(index, workers=1, dataset=kind, run_dir=tmp_path)

    with pytest.raises(
        UserError, match=r"killed 3 times in a row \(SIG.*\n.*/dev/shm is full.*\n.*memory ran out"
    ) as raised:
        list(loader.steps(0, 6))

    assert "They were on train0" in str(raised.value)
    assert not (tmp_path / "poisoned.txt").exists()
    flag.unlink()  # the cause is cured: the same folder goes on as if nothing had been
    again = a_loader(index, workers=1, dataset=kind, run_dir=tmp_path)
    assert [s.keys for s in again.steps(0, 6)] == [s.keys for s in steps]


def test_what_killed_workers_were_on_and_may_have_held_is_said():
    message = killed_from_outside({1: -signal.SIGKILL}, ["v3_00001"], 3 * 2**30)

    assert "may hold 3.0 GiB" in message and "(SIGKILL)" in message and "They were on v3_00001;" in message


def test_workers_hold_the_chunks_that_they_are_asked_for_and_the_one_in_the_making(index):
    view = ClipDataset(index, VIEWS, "prepared", seed=1).view
    row = 3 * (64 * 128 + 2 * 16 * 32)  # bytes: the middle frame and the two others of a clip

    assert Workers(2, chunk=4, prefetch=2).shm_bytes(view, 8) == 2 * (2 + 1) * 4 * row


@pytest.mark.slow
@pytest.mark.parametrize("reason", [signal.SIGKILL, signal.SIGSEGV])
def test_one_death_costs_nothing(index, steps, tmp_path, reason):
    flag = tmp_path / "once"
    flag.touch()
    kind = type("Once", (Killed,), {"reason": reason, "flag": flag, "once": True})

    loaded = list(a_loader(index, workers=2, dataset=kind, run_dir=tmp_path).steps(0, 6))

    assert not flag.exists() and [s.keys for s in loaded] == [s.keys for s in steps]
    assert not (tmp_path / "poisoned.txt").exists()


@pytest.mark.slow
def test_a_killed_worker_of_an_evaluation_is_one_message(index, tmp_path):
    flag = tmp_path / "full"
    flag.touch()
    kind = type("Full", (Killed,), {"flag": flag})
    with pytest.raises(UserError, match="data workers were killed"):
        list(read_once(kind(index, VIEWS, "prepared", seed=None, n_workers=1), range(4), 1, 2))


def test_the_compose_files_shared_memory_holds_what_its_workers_hand_over():
    config = load_config(TrainConfig, REPO / "configs" / "train_hd_vila.yaml")
    compose = yaml.safe_load((REPO / "docker" / "compose.yaml").read_text())
    d = config.data
    per_rank = Workers(d.workers, d.chunk, d.prefetch).shm_bytes(view_of(config), config.loop.batch // 8)

    assert int(compose["services"]["train"]["shm_size"].removesuffix("gb")) * 2**30 > 8 * per_rank

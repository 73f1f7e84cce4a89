"""Workers that are killed from outside blame no sample, and what they may hold in shared memory is known."""

from __future__ import annotations

import os
import signal

import pytest
import torch
import yaml
from torch.utils.data._utils import signal_handling

from manifests.errors import UserError
from manifests.settings import load_config
from tests.conftest import REPO
from tests.train.data.loaders import VIEWS, a_loader
from train.commands.init import STARTS
from train.config import TrainConfig
from train.data import workers
from train.data.loader import ClipDataset, read_once
from train.data.workers import (
    NOT_THE_SAMPLES,
    Workers,
    dead_workers,
    end_workers,
    ignore_stop_signals,
    started,
)
from train.feed.batches import view_of


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
@pytest.mark.parametrize("reason", [signal.SIGKILL, pytest.param(signal.SIGBUS, marks=pytest.mark.long)])
def test_workers_killed_from_outside_end_the_run_and_blame_no_sample(
    index, steps, tmp_path, reason, deaths_seen_at_once
):
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


def test_workers_hold_the_chunks_that_they_are_asked_for_and_the_one_in_the_making(index):
    view = ClipDataset(index, VIEWS, "prepared", seed=1).view
    row = 3 * (64 * 128 + 2 * 16 * 32)  # bytes: the middle frame and the two others of a clip

    assert Workers(2, chunk=4, prefetch=2).max_shm_bytes(view, 8) == 2 * (2 + 1) * 4 * row


@pytest.mark.slow
@pytest.mark.parametrize("reason", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.long)])
def test_one_death_costs_nothing(index, steps, tmp_path, reason, deaths_seen_at_once):
    flag = tmp_path / "once"
    flag.touch()
    kind = type("Once", (Killed,), {"reason": reason, "flag": flag, "once": True})

    loaded = list(a_loader(index, workers=2, dataset=kind, run_dir=tmp_path).steps(0, 6))

    assert not flag.exists() and [s.keys for s in loaded] == [s.keys for s in steps]
    assert not (tmp_path / "poisoned.txt").exists()


@pytest.mark.slow
def test_a_killed_worker_of_an_evaluation_is_one_message(index, tmp_path, deaths_seen_at_once):
    flag = tmp_path / "full"
    flag.touch()
    kind = type("Full", (Killed,), {"flag": flag})
    with pytest.raises(UserError, match="data workers were killed"):
        list(read_once(kind(index, VIEWS, "prepared", seed=None, n_workers=1), range(4), 1, 2))


def test_the_compose_files_shared_memory_holds_what_its_workers_hand_over():
    config = load_config(TrainConfig, STARTS["hd_vila"])
    compose = yaml.safe_load((REPO / "docker" / "compose.yaml").read_text())
    d = config.data
    per_rank = Workers(d.workers).max_shm_bytes(view_of(config), config.loop.batch // 8)

    assert int(compose["services"]["train"]["shm_size"].removesuffix("gb")) * 2**30 > 8 * per_rank


@pytest.mark.parametrize("words", ["No space left on device (28)", "unable to mmap: out of shared memory"])
def test_a_full_shared_memory_that_a_worker_tells_counts_as_killed_from_outside(words: str) -> None:
    deaths = dead_workers(RuntimeError(words), object())

    assert list(deaths.values()) == [-signal.SIGBUS] and set(deaths.values()) <= NOT_THE_SAMPLES


def test_workers_are_deaf_to_what_the_main_process_decides_about() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        ignore_stop_signals(0)
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == [signal.SIG_IGN] * 2
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)


@pytest.mark.parametrize("own", [signal.SIG_DFL, signal.SIG_IGN, lambda number, frame: None], ids=["no", "off", "own"])
def test_starting_workers_leaves_the_handler_of_their_deaths_as_it_was_and_knows_them(
    own: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own handler would raise in the middle of whatever runs."""
    loader = torch.utils.data.DataLoader([1, 2, 3, 4], num_workers=1, worker_init_fn=ignore_stop_signals)
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)  # torch sets it once a process
    before = signal.signal(signal.SIGCHLD, own)  # type: ignore[arg-type]
    try:
        chunks = started(loader)
        assert signal.getsignal(signal.SIGCHLD) == own
    finally:
        signal.signal(signal.SIGCHLD, before)

    (worker,) = chunks._workers  # type: ignore[attr-defined]
    assert worker in workers._living
    end_workers([worker])
    worker.join(timeout=300)
    assert worker.exitcode == -signal.SIGKILL

"""What a run measures of its steps: the mean between two reads, and what was waited for data in all."""

from __future__ import annotations

import pytest
import torch

from train.config import TrainConfig
from train.loop import observe
from train.loop.scalars import Unread

SECONDS_WAITED, SECONDS_OF_WORK = 1.0, 3.0


@pytest.fixture
def meter(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(observe.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(observe, "count_flops", lambda *_: 1e9)
    monkeypatch.setattr(observe, "peak_tflops", lambda _: 1.0)
    config = TrainConfig(data={"manifest": "m"}, loop={"steps": 6, "batch": 8})
    meter = observe.Meter(config, torch.device("cpu"), 1, lambda step: step / 10)

    def steps(n: int, waited: float = SECONDS_WAITED) -> None:
        for _ in range(n):
            clock[0] += waited
            meter.batch_arrived(None, None)
            clock[0] += SECONDS_OF_WORK
            meter.step_ended()

    return meter, steps


def test_a_records_speed_is_the_mean_of_the_steps_read_together(meter):
    meter, steps = meter
    steps(3)
    record = meter.step(Unread(3, 0.1, [], 0, {"counted": 2}, {}), 1.0, 2.0, {"loss_mlm": 3.0}, meter.read())

    assert (record.step_ms, record.data_wait_share, record.samples_per_s) == (4000, 0.25, 2)
    assert record.flops_per_step == 3 * 8e9 and record.mfu == pytest.approx(24e9 / 4 / 1e12)
    assert record.record()["counted"] == 2 and record.record()["loss_mlm"] == 3.0 and record.epoch == 0.3


def test_the_end_says_what_all_but_the_first_steps_waited(meter):
    meter, steps = meter
    steps(1, waited=100.0)  # the workers' start
    meter.read()
    steps(2)
    meter.read()
    steps(2)
    meter.read()

    assert meter.describe_waiting().startswith("waited for data 25.0% of 16 s")


def test_what_comes_between_two_steps_and_is_none_of_them_is_left_out(meter):
    meter, steps = meter
    steps(1)
    meter.read()
    meter.restart()

    steps(1)
    assert meter.read() == observe.Speed(4.0, 0.25)

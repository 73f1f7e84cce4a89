"""CPU seconds by step: a step inside another counts for itself alone, and waiting for none."""

import pytest

from pipeline.media.stopwatch import Stopwatch


class Clocks:
    """Both clocks: `work` takes as much of the processor as of the day, `wait` nothing of the processor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cpu_s = self.wall_s = 0.0
        monkeypatch.setattr("pipeline.media.stopwatch.time.process_time", lambda: self.cpu_s)
        monkeypatch.setattr("pipeline.media.stopwatch.time.perf_counter", lambda: self.wall_s)

    def work(self, seconds: float) -> None:
        self.cpu_s += seconds
        self.wall_s += seconds

    def wait(self, seconds: float) -> None:
        self.wall_s += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.mark.parametrize("unit_s", [0.001, 1.0])
def test_steps_add_up_and_inner_ones_are_not_counted_twice(clocks: Clocks, unit_s: float) -> None:
    watch = Stopwatch()

    def items():
        for n in range(2):
            clocks.work(5 * unit_s)
            yield n

    with watch("inner"):
        clocks.work(2 * unit_s)
    with watch("outer"):
        clocks.work(unit_s)
        with watch("inner"):
            clocks.work(3 * unit_s)
        clocks.work(2 * unit_s)
    for _ in watch.each("made", items()):
        clocks.work(unit_s / 2)

    assert watch.seconds == pytest.approx({"outer": 3 * unit_s, "inner": 5 * unit_s, "made": 10 * unit_s})

"""CPU seconds by step: a step inside another counts for itself alone."""

import pytest

from pipeline.media.stopwatch import Stopwatch


def test_steps_add_up_and_inner_ones_are_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr("pipeline.media.stopwatch.time.process_time", lambda: seconds[0])
    watch = Stopwatch()

    def items():
        for n in range(2):
            seconds[0] += 5
            yield n

    with watch("outer"):
        seconds[0] += 1
        with watch("inner"):
            seconds[0] += 2
        seconds[0] += 1
        with watch("inner"):
            seconds[0] += 3
        for _ in watch.each("made", items()):
            seconds[0] += 0.5

    assert watch.seconds == {"outer": 3.0, "inner": 5.0, "made": 10.0}
    assert sum(watch.seconds.values()) == seconds[0]

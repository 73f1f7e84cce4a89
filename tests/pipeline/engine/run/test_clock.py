"""The driver's clock: another one while a block runs, the machine's again afterwards."""

import pytest

from pipeline.engine.run.clock import going_by, now, sleep


class Jumping:
    """Time that passes at once."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_time_is_that_of_the_clock_for_the_block_alone() -> None:
    before = now()
    with pytest.raises(RuntimeError), going_by(Jumping()):
        sleep(3600)
        assert now() == 3700.0
        raise RuntimeError
    assert before <= now() < before + 60

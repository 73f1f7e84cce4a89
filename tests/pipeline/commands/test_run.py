"""The command that runs: its durations."""

import pytest

from pipeline.commands.run import seconds_of


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("2h", 7200), ("1.5m", 90), ("45s", 45)])
def test_stop_after_takes_hours_minutes_or_seconds(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds

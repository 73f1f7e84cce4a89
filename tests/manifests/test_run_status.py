"""What a run says of itself while it goes on: how long a stage will take."""

import pytest

from manifests.run_status import StageStatus


def test_how_long_a_stage_will_take_is_told_from_what_is_planned() -> None:
    stage = StageStatus(stage="media", done_before=10, done=20, known=25, total=70, seconds=100)
    assert stage.eta_s == pytest.approx(200)
    assert StageStatus(stage="media", done=20, seconds=100).eta_s is None
    assert StageStatus(stage="media", done=20, total=30, seconds=0).eta_s == 0, "done within a clock's tick"

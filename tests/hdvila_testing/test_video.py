"""Films drawn for tests: what drawing them leaves behind."""

import os
import sys
from pathlib import Path

import pytest

from hdvila_testing.video import a_video


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="schedulers of processes are Linux's")
def test_a_process_that_drew_an_av1_film_is_scheduled_as_before(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)

    a_video(tmp_path / "film.mp4", seconds=0.5, width=320, height=192, codec="libsvtav1", audio="")

    assert os.sched_getscheduler(0) == before

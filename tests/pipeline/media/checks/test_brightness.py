"""Mean brightness."""

import numpy as np
import pytest

from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Seen, findings
from pipeline.media.checks.brightness import MeanBrightness
from pipeline.media.checks.look import Look
from pipeline.media.probe import probe
from pipeline.media.streams import VideoTrack
from tests.pipeline.media.looks import VOICE


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> VideoTrack:
    return probe(a_video(tmp_path_factory.mktemp("t") / "a.mp4", seconds=0.4)).video


@pytest.mark.parametrize(("level", "is_found"), [(8, True), (60, False), (200, False), (245, True)])
def test_clips_that_are_nearly_black_or_white_throughout_are_told_where_asked(
    track: VideoTrack, level: int, is_found: bool
) -> None:
    gathered = MeanBrightness()
    for _ in range(4):
        gathered.picture(np.full((180, 320), level, np.uint8), np.full((2, 90, 160), 128, np.uint8))
    seen = Seen(track, Look(), audio=VOICE, measures={"brightness": gathered})
    asked = MediaConfig.model_validate({"checks": {"brightness": "reject"}})

    assert (Reason.BAD_EXPOSURE in {f.reason for f in findings(seen, asked)}) == is_found
    assert Reason.BAD_EXPOSURE not in {f.reason for f in findings(seen, MediaConfig())}

"""What is told of a clip's pictures and audio: bars, up-scaling, stills, silence, damage."""

import pytest

from hdvila_testing.video import a_video
from pipeline.config.media import ChecksConfig, MediaConfig
from pipeline.media.checks import Seen, all_checks, findings
from pipeline.media.probe import probe
from pipeline.media.streams import VideoTrack
from tests.pipeline.media.looks import framed, looked_at


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> VideoTrack:
    return probe(a_video(tmp_path_factory.mktemp("t") / "a.mp4", seconds=0.4)).video


def test_a_check_that_is_ignored_finds_nothing(track: VideoTrack) -> None:
    checks = ChecksConfig.model_validate({facts.name: "ignore" for facts, _ in all_checks()})
    look = looked_at([framed(90, 160)[0]] * 10)
    seen = Seen(track, look, ["bad"], (None, 1))

    assert not findings(seen, MediaConfig().model_copy(update={"checks": checks}))

"""What is low, and which videos speak of something else: neither without anything heard."""

import pytest

from hdvila_testing.video import a_video
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Seen
from pipeline.media.checks.heard import low_heard, other_speech
from pipeline.media.probe import probe
from pipeline.media.streams import VideoTrack

CONFIG = MediaConfig.model_validate({"checks": {"least_heard": 0.5}})


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> VideoTrack:
    return probe(a_video(tmp_path_factory.mktemp("t") / "a.mp4", seconds=0.4)).video


@pytest.mark.parametrize(("heard", "is_low"), [(-1.0, False), (0.0, True), (0.49, True), (0.5, False), (1.0, False)])
def test_a_clip_below_the_bound_is_low_one_of_which_nothing_is_known_is_not(
    track: VideoTrack, heard: float, is_low: bool
) -> None:
    assert bool(low_heard(Seen(track, text_heard=heard), CONFIG)) == is_low


@pytest.mark.parametrize(
    ("shares", "is_other"),
    [([], False), ([0.1, 0.1], False), ([0.1] * 3, True), ([0.1] * 9 + [0.9], True), ([0.1] * 8 + [0.9] * 2, False)],
)
def test_a_video_speaks_of_something_else_if_nearly_all_of_its_clips_are_low(
    track: VideoTrack, shares: list[float], is_other: bool
) -> None:
    assert bool(other_speech(Seen(track, shares_heard=shares), CONFIG)) == is_other

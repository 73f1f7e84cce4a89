"""Black bars, still pictures and faults of the decoder."""

from pathlib import Path

import numpy as np
import pytest

from manifests.reasons import Reason
from pipeline.config.media import ChecksConfig, MediaConfig, MediaLimits
from pipeline.media.checks import Seen, findings
from pipeline.media.checks.look import Look, picture_size
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Scaler, Stretch, decode, luma_of
from pipeline.media.probe import VideoTrack, probe
from pipeline.testing.video import a_video
from tests.pipeline.media.looks import VOICE, framed, looked_at, reasons


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> VideoTrack:
    return probe(a_video(tmp_path_factory.mktemp("t") / "a.mp4", seconds=0.4)).video


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (180, 320, (1280, 720)),
        (180, 240, (964, 720)),  # 4:3 with bars at the sides
        (134, 320, (1280, 540)),  # a letterboxed film
        (120, 160, (644, 484)),  # a 640x480 picture in the middle of a 720p frame
        (180, 101, (408, 720)),  # a portrait film in a landscape frame
    ],
)
def test_the_picture_inside_black_bars_is_measured(
    track: VideoTrack, height: int, width: int, size: tuple[int, int]
) -> None:
    """Precise to a small picture's pixel, which is 4 of the full one, and never too small."""
    assert picture_size(looked_at(framed(height, width)), track) == size


def test_a_night_scene_is_not_called_bars(track: VideoTrack) -> None:
    rng = np.random.default_rng(1)
    dark = [rng.integers(14, 30, (180, 320), dtype=np.uint8) for _ in range(6)]
    assert Reason.UPSCALED not in reasons(looked_at(dark), track)


def test_bars_around_a_picture_that_is_720p_only_flag_it(track: VideoTrack) -> None:
    for height, width, action in [(180, 320, None), (180, 240, "flag"), (134, 320, "flag"), (120, 160, "reject")]:
        found = findings(Seen(track, looked_at(framed(height, width)), audio=VOICE), MediaConfig())
        assert [f.action for f in found if f.reason is Reason.UPSCALED] == ([action] if action else [])


def test_still_pictures_and_slide_shows_are_told_from_films(track: VideoTrack) -> None:
    one, other = framed(180, 320, 1, 1)[0], framed(180, 320, 2, 1)[0]
    assert Reason.STILL_PICTURE in reasons(looked_at([one] * 10), track)
    assert Reason.STILL_PICTURE in reasons(looked_at([one] * 5 + [other] * 5), track)
    assert Reason.STILL_PICTURE not in reasons(looked_at(framed(180, 320, 3, 10)), track)


@pytest.mark.parametrize("name", ["LatentSync__demo1_video.mp4", "moviepy__video_with_failing_audio.mp4"])
def test_a_talking_face_is_no_still_picture(samples: Path, track: VideoTrack, name: str) -> None:
    source = probe(samples / "videos" / name)
    scaler, look = Scaler(source, SMALL_SHORT_SIDE, "yuv420p"), Look()
    for item in decode(source, MediaLimits(), [Stretch(0, 5000)]):
        if isinstance(item, Picture) and look.time(item.time_ms):
            look.add(luma_of(scaler(item.frame)))
    assert look.motion > 2 * ChecksConfig().still_motion
    assert Reason.STILL_PICTURE not in reasons(look, track)


def test_faults_of_the_decoder_and_missing_pictures_are_told(track: VideoTrack) -> None:
    good = looked_at(framed(180, 320, 3, 10))
    assert reasons(good, track, faults=["Invalid data at 3 ms"]) == {Reason.DECODE_ERRORS}
    look = looked_at(framed(180, 320))
    look.close(60_000)
    assert Reason.TRUNCATED in reasons(look, track)

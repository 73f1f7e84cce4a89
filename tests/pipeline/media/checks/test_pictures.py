"""Black bars, still pictures and faults of the decoder."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import ChecksConfig, CutConfig, MediaConfig, MediaLimits
from pipeline.media.checks import Seen, findings
from pipeline.media.checks.look import Look, picture_size
from pipeline.media.checks.pictures import bars, coverage, decode_errors, still_picture
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Scaler, Stretch, decode_video
from pipeline.media.planes import luma_of
from pipeline.media.probe import probe
from pipeline.media.streams import VideoTrack
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
    assert not reasons(looked_at(dark), track) & {Reason.UPSCALED, Reason.BLACK_BARS}


def test_bars_around_a_picture_that_is_720p_only_flag_it_and_not_as_upscaled(track: VideoTrack) -> None:
    bars_only, small = (Reason.BLACK_BARS, "flag"), (Reason.UPSCALED, "reject")
    for height, width, verdict in [(180, 320, None), (180, 240, bars_only), (134, 320, bars_only), (120, 160, small)]:
        found = findings(Seen(track, looked_at(framed(height, width)), audio=VOICE), MediaConfig())
        about = [(f.reason, f.action) for f in found if f.reason in (Reason.UPSCALED, Reason.BLACK_BARS)]
        assert about == ([verdict] if verdict else [])


def test_still_pictures_and_slide_shows_are_told_from_films(track: VideoTrack) -> None:
    one, other = framed(180, 320, 1, 1)[0], framed(180, 320, 2, 1)[0]
    assert Reason.STILL_PICTURE in reasons(looked_at([one] * 10), track)
    assert Reason.STILL_PICTURE in reasons(looked_at([one] * 5 + [other] * 5), track)
    assert Reason.STILL_PICTURE not in reasons(looked_at(framed(180, 320, 3, 10)), track)


@pytest.mark.parametrize("name", ["LatentSync__demo1_video.mp4", "moviepy__video_with_failing_audio.mp4"])
def test_a_talking_face_is_no_still_picture(samples: Path, track: VideoTrack, name: str) -> None:
    source = probe(samples / "videos" / name)
    scaler, look = Scaler(source, SMALL_SHORT_SIDE, "yuv420p"), Look()
    for item in decode_video(source, MediaLimits(), [Stretch(0, 5000)]):
        if isinstance(item, Picture) and look.time(item.time_ms):
            look.add(luma_of(scaler(item.frame)))
    assert look.motion > 2 * ChecksConfig().still_motion
    assert Reason.STILL_PICTURE not in reasons(look, track)


def test_faults_of_the_decoder_and_missing_pictures_are_reported(track: VideoTrack) -> None:
    good = looked_at(framed(180, 320, 3, 10))
    assert reasons(good, track, faults=["Invalid data at 3 ms"]) == {Reason.DECODE_ERRORS}
    look = looked_at(framed(180, 320))
    look.close(60_000)
    assert Reason.TRUNCATED in reasons(look, track)


def test_720p_is_a_short_side_of_704_or_a_wide_picture_of_1280() -> None:
    config = CutConfig()
    for width, height in [(1280, 720), (720, 1280), (1280, 718), (960, 720), (1280, 544), (1920, 800), (544, 1280)]:
        assert config.is_720p(width, height), (width, height)
    for width, height in [(854, 480), (640, 480), (1138, 640), (1024, 576), (1024, 436)]:
        assert not config.is_720p(width, height), (width, height)
    assert not CutConfig(accept_wide=False).is_720p(1280, 544)


def test_a_picture_of_nine_tenths_of_the_frame_has_no_notable_bars() -> None:
    video: Any = SimpleNamespace(width=1000, height=100)

    def inside(rows: int) -> str:
        return bars(Seen(video, Look(np.arange(100) < rows, np.full(1000, True))), config)

    config = MediaConfig.model_validate({"cut": {"min_short_side": 0}})
    assert inside(89) == "" and inside(88) == "1000x89 inside black bars"


@pytest.mark.parametrize(("gap_ms", "motion", "found"), [(1000, 0.5, False), (1001, 0.4, True)])
def test_a_gap_and_a_motion_just_at_the_limit_are_no_fault(gap_ms: int, motion: float, found: bool) -> None:
    config = MediaConfig.model_validate({"checks": {"still_motion": 0.5}})
    video: Any = SimpleNamespace(width=1280, height=720)
    seen = Seen(video, Look(moves=[motion], longest_gap_ms=gap_ms))

    assert coverage(seen, config) == (f"{gap_ms} ms without a new picture" if found else "")
    assert still_picture(seen, config) == (f"moves by {motion} % of its short side in half a second" if found else "")
    still = Seen(video, Look(moves=[0.0]))
    assert still_picture(still, config) != "" and still_picture(Seen(video, Look()), config) == "", "nothing to compare"


def test_errors_of_the_decoder_are_counted_and_the_first_is_named() -> None:
    video: Any = SimpleNamespace(width=1280, height=720)
    assert decode_errors(Seen(video, Look(), ["bad slice", "worse"]), MediaConfig()) == "2, first: bad slice"
    assert decode_errors(Seen(video, Look(), []), MediaConfig()) == ""
    with pytest.raises(ValueError, match="no picture of this clip was measured"):
        coverage(Seen(video), MediaConfig())

"""720p or nothing: the choice of renditions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.config.crawl import MediaFormatConfig
from pipeline.config.media import CutConfig
from pipeline.site.formats import choose_format, original_language, short_sides


def video(height: int, codec: str = "avc1.4d401f", width: int = 0, **more: Any) -> dict[str, Any]:
    width = width or round(height * 16 / 9)
    facts = {"vcodec": codec, "acodec": "none", "width": width, "height": height, "fps": 25}
    return {"format_id": f"v{width}x{height}{codec[:3]}", **facts, **more}


SOUND = {"format_id": "140", "vcodec": "none", "acodec": "mp4a.40.2", "abr": 128, "filesize": 10}
JOINT_360 = {"format_id": "18", "vcodec": "avc1", "acodec": "mp4a", "width": 640, "height": 360}


def choose(*formats: dict[str, Any], **settings: Any) -> Any:
    own = {k: settings.pop(k) for k in ("accept_wide", "min_short_side") if k in settings}
    return choose_format(formats, MediaFormatConfig(**settings), CutConfig(**own))


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ([video(720), video(480), SOUND, JOINT_360], "v1280x720avc+140"),
        ([video(1080), video(720), SOUND], "v1280x720avc+140"),
        ([video(1080), video(480), SOUND], "v1920x1080avc+140"),
        ([video(720, "vp9"), video(720), SOUND], "v1280x720avc+140"),
        ([video(720, "vp9"), video(1080), SOUND], "v1280x720vp9+140"),
        ([video(1280, width=720), video(720, width=406), SOUND], "v720x1280avc+140"),
        ([video(718, width=1280), SOUND], "v1280x718avc+140"),
        ([video(536, width=1280), SOUND], "v1280x536avc+140"),
        ([video(720, acodec="mp4a")], "v1280x720avc"),
    ],
    ids=[
        "plain",
        "not larger than needed",
        "larger where 720p is missing",
        "best codec",
        "720p before the better codec",
        "portrait",
        "718 rows",
        "wide",
        "joint 720p",
    ],
)
def test_the_720p_rendition_is_chosen(formats: list[dict[str, Any]], expected: str) -> None:
    assert choose(*formats).format == expected


@pytest.mark.parametrize(
    ("formats", "reason"),
    [
        ([video(480), SOUND, JOINT_360], Reason.NO_720P),
        ([JOINT_360], Reason.NO_720P),
        ([video(720)], Reason.NO_AUDIO_FORMAT),
        ([SOUND], Reason.FORMATS_HIDDEN),
        ([], Reason.FORMATS_HIDDEN),
        ([video(720, has_drm=True), SOUND], Reason.DRM),
        ([video(720, "theora"), SOUND], Reason.UNSUPPORTED_CODEC),
        ([video(720, protocol="m3u8_native"), SOUND], Reason.UNSUPPORTED_CODEC),
        ([video(720, dynamic_range="HDR10"), SOUND], Reason.UNSUPPORTED_CODEC),
        ([video(536, width=952), SOUND], Reason.NO_720P),
    ],
)
def test_nothing_smaller_is_ever_taken(formats: list[dict[str, Any]], reason: Reason) -> None:
    found = choose(*formats)
    assert (found.reason, found.format) == (reason, "")


def test_the_original_sound_is_taken_not_a_dub() -> None:
    dub = {**SOUND, "format_id": "140-0", "language": "de", "language_preference": -1, "abr": 256}
    original = {**SOUND, "format_id": "140-1", "language": "en", "language_preference": 10}
    assert choose(video(720), dub, original).format == "v1280x720avc+140-1"
    assert original_language([dub, original]) == "en"


def test_aac_is_preferred_since_an_mp4_carries_it() -> None:
    opus = {**SOUND, "format_id": "251", "acodec": "opus", "abr": 160}
    assert choose(video(720), opus, SOUND).format.endswith("+140")
    assert choose(video(720), opus).format.endswith("+251")


def test_wide_pictures_can_be_left_out() -> None:
    assert choose(video(536, width=1280), SOUND, accept_wide=False).reason is Reason.NO_720P


def test_the_short_sides_on_offer_are_listed_once() -> None:
    assert short_sides([video(720), video(720, "vp9"), video(1280, width=720), JOINT_360, SOUND]) == [360, 720]


@given(st.lists(st.tuples(st.integers(100, 2000), st.integers(100, 2000)), min_size=1, max_size=8))
def test_what_is_chosen_is_always_720p(sizes: list[tuple[int, int]]) -> None:
    found = choose(*[video(height, width=width) for width, height in sizes], SOUND)
    assert CutConfig().is_720p(found.width, found.height) == (found.reason is None)


def test_the_size_that_the_cut_takes_is_the_size_that_is_fetched() -> None:
    offered = (video(360), video(480), video(1080), SOUND)

    assert choose(*offered, min_short_side=480).height == 480
    assert choose(*offered).height == 1080


def test_where_any_size_is_taken_720p_is_still_preferred_and_the_tallest_is_next() -> None:
    assert choose(video(144), video(720), video(1080), SOUND, min_short_side=0).height == 720
    assert choose(video(144), video(360), SOUND, min_short_side=0).height == 360

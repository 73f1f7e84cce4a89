"""720p or nothing: the choice of renditions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.config.crawl import MediaFormatConfig
from pipeline.config.media import CutConfig
from pipeline.site.formats import choose_format, judge_formats, original_language, short_sides
from pipeline.site.ytdlp import Session, no_token


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
        ([video(720, protocol="m3u8_native"), SOUND], Reason.FORMATS_HIDDEN),
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


@pytest.mark.parametrize(
    ("language", "marks", "expected"),
    [
        ("en", ("es", 10, "en", -1), "140-1"),
        ("es", ("es", 10, "en", -1), "140-0"),
        ("en-US", ("es", 10, "en-GB", -1), "140-1"),
        ("", ("es", 10, "en", -1), "140-0"),
        ("fr", ("es", 10, "en", -1), ""),
        ("fr", ("es", 5, "es", 5), ""),
        ("fr", ("es", -1, "es", -1), "140-0"),
        ("fr", (None, -1, None, -1), "140-0"),
    ],
)
def test_the_sound_is_in_the_language_of_the_text(language: str, marks: tuple[Any, ...], expected: str) -> None:
    sounds = [
        {**SOUND, "format_id": f"140-{i}", "language": marks[2 * i], "language_preference": marks[2 * i + 1]}
        for i in range(2)
    ]
    sounds[0]["abr"] = 192
    choice = choose_format([video(720), *sounds], MediaFormatConfig(), CutConfig(), language)
    assert choice.format == (f"v1280x720avc+{expected}" if expected else "")
    assert (choice.reason is Reason.FORMATS_HIDDEN) == (not expected)


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


def judged(*formats: dict[str, Any], sizes: tuple[int, ...] = (), warnings: tuple[str, ...] = ()) -> Any:
    session = Session(no_token, 0.0, listed_sizes=frozenset(sizes), warnings=list(warnings))
    return judge_formats({"formats": formats}, session, MediaFormatConfig(), CutConfig())


WITHHELD = "Some web client https formats have been skipped as they are missing a url (SABR-only)"


@pytest.mark.parametrize(
    ("made", "reason", "look_again"),
    [
        (lambda: judged(video(480), SOUND, sizes=(480, 1080)), Reason.FORMATS_HIDDEN, True),
        (lambda: judged(video(360), SOUND, sizes=(144, CutConfig().least_side)), Reason.NO_720P, False),
        (lambda: judged(video(360), SOUND, sizes=(CutConfig().least_side + 1,)), Reason.FORMATS_HIDDEN, True),
        (lambda: judged(video(480, format_note="1080p60"), SOUND, sizes=(1080,)), Reason.NO_720P, False),
        (lambda: judged(video(480, format_note="1080p60"), SOUND, sizes=(1081,)), Reason.FORMATS_HIDDEN, True),
        (lambda: judged(video(480, format_note="1080p"), video(360), SOUND, sizes=(1080,)), Reason.NO_720P, False),
        (lambda: judged(video(480, format_note="144p"), video(360), SOUND, sizes=(480,)), Reason.NO_720P, False),
        (lambda: judged(video(480), SOUND), Reason.NO_720P, False),
        (lambda: judged(video(480), SOUND, warnings=(WITHHELD,)), Reason.FORMATS_HIDDEN, True),
        (lambda: judged(video(720), warnings=()), Reason.NO_AUDIO_FORMAT, False),
        (lambda: judged(video(720), sizes=(1080,)), Reason.NO_AUDIO_FORMAT, False),
        (lambda: judged(SOUND), Reason.FORMATS_HIDDEN, None),
    ],
)
def test_no_720p_is_a_verdict_only_where_the_page_names_no_larger_size(
    made: Any, reason: Reason, look_again: bool | None
) -> None:
    failure = made()

    assert failure.reason is reason
    assert look_again is None or failure.look_again is look_again


def test_what_can_be_fetched_is_no_failure_whatever_the_page_lists() -> None:
    choice = judged(video(720, filesize=100), SOUND, sizes=(2160,), warnings=(WITHHELD,))

    assert (choice.format, choice.bytes_, choice.width, choice.height) == ("v1280x720avc+140", 110, 1280, 720)
    assert choice.codec == "avc1.4d401f" and [f["format_id"] for f in choice.formats] == ["v1280x720avc", "140"]
    assert judged(video(720), {**SOUND, "filesize": None}).bytes_ == 0
    nothing = choose()
    assert (nothing.width, nothing.height, nothing.bytes_) == (0, 0, 0)


def test_of_like_renditions_the_silent_one_of_the_highest_rate_is_taken() -> None:
    low, high = video(720, format_id="low", tbr=500.0), video(720, format_id="high", tbr=900.0)
    joint, unknown = video(720, format_id="joint", acodec="mp4a", tbr=9000.0), video(720, format_id="unknown")

    assert choose(low, high, SOUND).format == "high+140"
    assert choose(joint, low, SOUND).format == "low+140", "a joint file is not needed"
    assert choose(unknown, video(720, format_id="whole", tbr=0.5), SOUND).format == "whole+140"


def test_the_audio_is_a_plain_file_of_its_own_and_the_best_there_is() -> None:
    streamed, locked = {**SOUND, "format_id": "s", "protocol": "m3u8"}, {**SOUND, "format_id": "d", "has_drm": True}
    plain = {**SOUND, "format_id": "p", "protocol": "https", "abr": None, "tbr": 64}
    better, unknown = {**SOUND, "format_id": "b", "abr": 65}, {**SOUND, "format_id": "u", "abr": None}

    assert choose(video(720), JOINT_360, streamed, locked).reason is Reason.NO_AUDIO_FORMAT
    assert choose(video(720), streamed, plain, unknown).format.endswith("+p")
    assert choose(video(720), plain, better).format.endswith("+b")
    slow = {**SOUND, "format_id": "a", "abr": 0.5}
    assert choose(video(720), slow, unknown).format.endswith("+a"), "any rate goes before none that is known"
    german = {**better, "format_id": "g", "language_preference": -2}
    assert choose(video(720), german, plain).format.endswith("+p"), "no preference goes before a worse one"


@pytest.mark.parametrize(
    ("more", "is_taken"),
    [({"fps": 60}, True), ({"fps": 61}, False), ({"fps": None}, True), ({"dynamic_range": "SDR"}, True)],
)
def test_frames_come_at_most_as_fast_as_60_a_second(more: dict[str, Any], is_taken: bool) -> None:
    assert bool(choose(video(720, **more), SOUND).format) is is_taken


@pytest.mark.parametrize("other", [{"has_drm": True}, {"protocol": "m3u8_native"}])
def test_one_rendition_that_cannot_be_had_as_a_file_hides_no_other(other: dict[str, Any]) -> None:
    assert choose(video(720, **other), video(1080), SOUND).format == "v1920x1080avc+140"


def test_a_rendition_that_names_one_side_alone_is_taken_for_square() -> None:
    assert choose({**video(720), "width": None}, SOUND).width == 720
    assert short_sides([{**video(720), "width": None, "height": 0}, {**video(720), "height": None}]) == []
    assert short_sides([{**video(720), "vcodec": "none"}]) == [], "pictures of a timeline have a size as well"


def test_the_original_language_is_that_of_the_highest_preference_among_those_that_name_one() -> None:
    unnamed = {**SOUND, "language_preference": 99}
    plain, dub = {**SOUND, "language": "en"}, {**SOUND, "language": "de", "language_preference": -10}

    assert original_language([unnamed, dub, plain]) == "en"
    unsure = {**SOUND, "language": "fr", "language_preference": -1}
    assert original_language([plain, unsure]) == "en" and original_language([unsure, plain]) == "fr", "the first"
    assert original_language([unnamed, {**video(720), "language": "fr"}]) == ""

"""The table of failures, text by text; the same behaviours through the real yt-dlp are in test_crawl and test_fetch."""

import pytest
from yt_dlp.networking.exceptions import TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError

from manifests.reasons import Reason, ReasonClass
from pipeline.site.failures import (
    DeadlinePassed,
    Evidence,
    Pause,
    SeenRequest,
    chain,
    classify,
    message_of,
    refusals,
    signature,
)

TEXTS = [
    ("Sign in to confirm you’re not a bot. Use --cookies", Reason.BOT_CHECK, Pause.HARD),
    ("Sign in to confirm you're not a bot", Reason.BOT_CHECK, Pause.HARD),
    ("This content isn't available, try again later. The current session has been …", Reason.SESSION_LIMIT, Pause.HARD),
    ("Video unavailable. YouTube is requiring a captcha challenge before playback", Reason.BOT_CHECK, Pause.HARD),
    ("All player responses are invalid. Your IP is likely being blocked by Youtube", Reason.BAD_ANSWER, Pause.HARD),
    ("Private video. Sign in if you've been granted access to this video", Reason.PRIVATE, Pause.NONE),
    ("Sign in to confirm your age. This video may be inappropriate for some users.", Reason.AGE_RESTRICTED, Pause.NONE),
    ("Join this channel to get access to members-only content", Reason.MEMBERS_ONLY, Pause.NONE),
    ("This video requires payment to watch", Reason.PAYMENT_REQUIRED, Pause.NONE),
    ("This video is DRM protected", Reason.DRM, Pause.NONE),
    ("Video unavailable. This video has been removed by the uploader", Reason.UNAVAILABLE, Pause.NONE),
    ("Video unavailable. This video is not available", Reason.UNAVAILABLE, Pause.NONE),
    ("Premieres in 10 hours", Reason.UPCOMING, Pause.NONE),
    ("The uploader has not made this video available in your country", Reason.GEO_BLOCKED, Pause.NONE),
    ("No video formats found!", Reason.FORMATS_HIDDEN, Pause.NONE),
    ("Failed to extract any player response", Reason.BAD_ANSWER, Pause.SOFT),
    ("Did not get any data blocks", Reason.BAD_ANSWER, Pause.SOFT),
    ("unable to download video data: The read operation timed out", Reason.STALLED, Pause.SOFT),
    ("'Something' object has no attribute 'get'", Reason.EXTRACTOR_ERROR, Pause.NONE),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason", "pause"), TEXTS)
def test_each_message_has_its_one_reason(text: str, reason: Reason, pause: Pause) -> None:
    found = classify(Evidence(text=text))
    assert (found.reason, found.pause) == (reason, pause)


def test_the_apostrophe_of_the_bot_message_does_not_matter() -> None:
    typographic, plain = (classify(Evidence(text=f"Sign in to confirm you{c}re not a bot")) for c in "’'")
    assert typographic.reason is plain.reason is Reason.BOT_CHECK


def seen(status: int, kind: str = "player", error: str = "") -> SeenRequest:
    return SeenRequest(kind, "youtube.com", "/youtubei/v1/player", status, error)


def test_a_recorded_429_speaks_louder_than_the_message() -> None:
    found = classify(Evidence(requests=[seen(200, "page"), seen(429)], text="No video formats found!"))
    assert (found.reason, found.pause) == (Reason.RATE_LIMITED, Pause.HARD)


def test_what_a_retry_cured_is_no_cause() -> None:
    found = classify(Evidence(requests=[seen(503), seen(200)], text="Private video."))
    assert found.reason is Reason.PRIVATE


def test_a_block_is_found_in_warnings_before_the_message() -> None:
    warning = 'Skipping player responses from tv clients (got player responses for video "x" instead of "y")'
    found = classify(Evidence(warnings=[warning], text="No video formats found!"))
    assert (found.reason, found.pause) == (Reason.BAD_ANSWER, Pause.HARD)


def test_a_sabr_warning_does_not_outweigh_a_verdict() -> None:
    warning = "Some tv client https formats have been skipped as they are missing a URL (SABR-only)"
    assert classify(Evidence(warnings=[warning], text="Private video.")).reason is Reason.PRIVATE
    hidden = classify(Evidence(warnings=[warning], text="No video formats found!"))
    assert (hidden.reason, hidden.look_again) == (Reason.FORMATS_HIDDEN, True)


def test_statuses_by_kind() -> None:
    assert classify(Evidence(requests=[seen(403, "media")])).reason is Reason.MEDIA_FORBIDDEN
    assert classify(Evidence(requests=[seen(404, "media")])).reason is Reason.MEDIA_FORBIDDEN
    assert classify(Evidence(requests=[seen(403, "player")])).reason is Reason.FORBIDDEN
    assert classify(Evidence(requests=[seen(502, "page")])).reason is Reason.SERVER_ERROR
    assert classify(Evidence(requests=[seen(0, error="Timeout")])).reason is Reason.STALLED
    assert classify(Evidence(requests=[seen(0, error="TransportError")])).reason is Reason.CONNECTION_RESET


def test_a_refused_caption_says_nothing_about_the_video() -> None:
    assert classify(Evidence(requests=[seen(429, "caption")], text="Private video.")).reason is Reason.PRIVATE
    assert refusals([seen(429, "caption"), seen(429, "page"), seen(200)]) == [seen(429, "page")]


def test_causes_are_found_under_yt_dlps_wrappers() -> None:
    cause = ExtractorError("Unable to download API page", cause=TransportError("connection reset by peer"))
    error = DownloadError("ERROR: it failed", (ExtractorError, cause, None))
    assert [type(link).__name__ for link in chain(error)] == ["DownloadError", "ExtractorError", "TransportError"]
    assert classify(Evidence(error=error)).reason is Reason.CONNECTION_RESET


def test_geo_is_told_by_its_class_with_the_countries() -> None:
    geo = GeoRestrictedError("not here", countries=["AT", "CH"])
    found = classify(Evidence(error=DownloadError("ERROR", (GeoRestrictedError, geo, None))))
    assert found.reason is Reason.GEO_BLOCKED
    assert "AT, CH" in found.detail


def test_our_own_time_limit_comes_first() -> None:
    found = classify(Evidence(requests=[seen(500)], error=DeadlinePassed("too long")))
    assert (found.reason, found.pause) == (Reason.STALLED, Pause.NONE)


def test_every_pause_class_is_of_class_later() -> None:
    for text, reason, pause in TEXTS:
        if pause is not Pause.NONE:
            assert reason.class_ is ReasonClass.LATER, text


def test_a_signature_is_the_same_for_different_videos() -> None:
    one, two = (classify(Evidence(text=f"KeyError in video {i}: line 12")) for i in ("dQw4w9WgXcQ", "aaaaaaaaaaa"))
    assert signature(one) == signature(two)


def test_messages_lose_what_was_meant_for_a_terminal() -> None:
    text = "\x1b[0;31mERROR:\x1b[0m [youtube] dQw4w9WgXcQ: Private video. Use --cookies-from-browser or --cookies"
    assert message_of(Exception(text)) == "Private video."

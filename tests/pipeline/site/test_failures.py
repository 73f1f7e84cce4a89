"""The table of failures, text by text; the same behaviours through the real yt-dlp are in test_crawl and test_fetch."""

import pytest
from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking.exceptions import ProxyError, RequestError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    PostProcessingError,
    UnsupportedError,
)

from manifests.reasons import Reason, ReasonClass
from pipeline.site.failures import (
    PROXY_PASSWORD,
    DeadlinePassed,
    Evidence,
    Failure,
    Pause,
    SeenRequest,
    chain,
    classify,
    message_of,
    refusals,
    signature,
)
from pipeline.site.own_hosts import ForeignAddress
from tests.pipeline.site.sentences import Sentence, sentences

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
    ("This video is only available to Music Premium members", Reason.MEMBERS_ONLY, Pause.NONE),
    ("Please sign in", Reason.FORMATS_HIDDEN, Pause.NONE),
    ("The following content is not available on this app..", Reason.FORMATS_HIDDEN, Pause.NONE),
    ("The page needs to be reloaded.", Reason.FORMATS_HIDDEN, Pause.NONE),
    ("Playback on other websites has been disabled by the video owner", Reason.FORMATS_HIDDEN, Pause.NONE),
    ("We're processing this video. Check back later.", Reason.UPCOMING, Pause.NONE),
    ("Offline.", Reason.UPCOMING, Pause.NONE),
    ("The following content may contain suicide or self-harm topics.", Reason.AGE_RESTRICTED, Pause.NONE),
    ("This content is identified as inappropriate or offensive to some audiences", Reason.AGE_RESTRICTED, Pause.NONE),
    ("Video unavailable. Buy or rent this film to watch it.", Reason.PAYMENT_REQUIRED, Pause.NONE),
    ("Watch this video with YouTube Premium", Reason.MEMBERS_ONLY, Pause.NONE),
    ("Watch video on YouTube. Error 153", Reason.FORMATS_HIDDEN, Pause.SOFT),
    ("[SSL: UNEXPECTED_EOF] EOF occurred. Giving up after 2 retries", Reason.CONNECTION_RESET, Pause.SOFT),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason", "pause"), TEXTS)
def test_each_message_has_its_one_reason(text: str, reason: Reason, pause: Pause) -> None:
    found = classify(Evidence(text=text))
    assert (found.reason, found.pause) == (reason, pause)


@pytest.mark.parametrize("text", [text for text, reason, _ in TEXTS if reason is Reason.FORMATS_HIDDEN])
def test_what_one_player_is_refused_another_may_see(text: str) -> None:
    assert classify(Evidence(text=text)).look_again
    assert not classify(Evidence(text="Private video. Sign in if you've been granted access")).look_again


def seen(status: int, kind: str = "player", error: str = "") -> SeenRequest:
    path = {"page": "/watch", "list": "/results", "other": "/tv"}.get(kind, "/youtubei/v1/player")
    return SeenRequest(kind, "youtube.com", path, status, error)


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


def test_words_of_a_status_are_no_status() -> None:
    """yt-dlp's own sentence on PO tokens, of a video that the site answered 200 for throughout."""
    warning = (
        "dQw4w9WgXcQ: web client https formats require a GVS PO Token which was not provided. They will be skipped as "
        "they may yield HTTP Error 403. You can manually pass a GVS PO Token for this client"
    )
    requests = [seen(200, "page"), seen(200)]
    found = classify(Evidence(requests, warnings=[warning], text="Requested format is not available"))
    assert (found.reason, found.pause) == (Reason.FORMATS_HIDDEN, Pause.NONE)
    assert classify(Evidence(requests, text="Error: HTTP Error 429: Too Many Requests")).pause is Pause.NONE


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_status_of_a_side_request_is_no_verdict_on_the_video(status: int) -> None:
    for side in (seen(status, "other"), seen(status, "list")):
        assert classify(Evidence([seen(200, "page"), seen(200), side], text="Private video")).reason is Reason.PRIVATE


def test_a_404_of_the_list_itself_is_one() -> None:
    assert classify(Evidence([seen(404, "list")], about="list")).reason is Reason.UNAVAILABLE
    home = SeenRequest("list", "youtube.com", "/", 404)
    assert classify(Evidence([home], text="odd", about="list")).reason is Reason.EXTRACTOR_ERROR


def test_what_the_site_says_in_unknown_words_is_of_the_video_and_a_bug_is_yt_dlps() -> None:
    word = ExtractorError("The curtain has fallen on this programme", expected=True)
    assert (
        classify(Evidence(error=DownloadError("ERROR", (ExtractorError, word, None)))).reason is Reason.UNKNOWN_ANSWER
    )
    bug = ExtractorError("Unable to extract the player", expected=False)
    assert (
        classify(Evidence(error=DownloadError("ERROR", (ExtractorError, bug, None)))).reason is Reason.EXTRACTOR_ERROR
    )
    hidden = ExtractorError("An extractor error has occurred.", cause=KeyError("x"), expected=True)
    assert classify(Evidence(error=hidden)).reason is Reason.EXTRACTOR_ERROR


def test_a_refused_proxy_password_is_its_own_reason() -> None:
    refused = ProxyError("Unable to connect to proxy: Tunnel connection failed: 407 Proxy Authentication Required")
    found = classify(Evidence(error=refused))
    assert (found.reason, found.pause) == (Reason.PROXY_REFUSED, Pause.HARD)
    assert classify(Evidence(error=ProxyError("cannot connect"))).pause is Pause.SOFT


# --- every sentence of the installed yt-dlp ---

BLOCKS = {
    "All player responses are invalid": (Reason.BAD_ANSWER, Pause.HARD),
    "Skipping player responses from x clients (got player responses": (Reason.BAD_ANSWER, Pause.HARD),
    "The provided YouTube account cookies are no longer valid": (Reason.BAD_COOKIES, Pause.HARD),
}
"""Sentences of yt-dlp's own that say something about who asks."""

VERDICTS = {
    "This video is DRM protected": Reason.DRM,
    "Requested format is not available": Reason.FORMATS_HIDDEN,
    "Failed to extract any player response": Reason.BAD_ANSWER,
    "Incomplete data received": Reason.BAD_ANSWER,
    "Incomplete yt initial data received": Reason.BAD_ANSWER,
    "Did not get any data blocks": Reason.BAD_ANSWER,
    "Invalid URL": Reason.BAD_ID,
    "Incomplete YouTube ID": Reason.BAD_ID,
    "A network error has occurred": Reason.CONNECTION_RESET,
    "content too short": Reason.CONNECTION_RESET,
    "They will be skipped as they may yield HTTP Error 403": Reason.FORMATS_HIDDEN,
    "Signature solving failed": Reason.FORMATS_HIDDEN,
    "n challenge solving failed": Reason.FORMATS_HIDDEN,
}
SOFT = frozenset({Reason.BAD_ANSWER, Reason.CONNECTION_RESET})
FOUND = sentences()


def verdict_of(sentence: Sentence) -> tuple[Reason, Pause]:
    """What the table makes of a sentence, all answers being 200."""
    requests = [seen(200, "page"), seen(200)]
    if sentence.is_error:
        found = classify(Evidence(requests, text=sentence.text))
    else:
        found = classify(Evidence(requests, warnings=[sentence.text], text="The curtain has fallen"))
    return found.reason, found.pause


@pytest.mark.parametrize("start", [*BLOCKS, *VERDICTS])
def test_the_installed_yt_dlp_still_says_what_the_table_knows_and_gets_that_verdict(start: str) -> None:
    said = [sentence for sentence in FOUND if start in sentence.text]
    said = [sentence for sentence in said if sentence.is_error] or said
    assert said, f"yt-dlp no longer says {start!r}: is the rule still needed?"
    for sentence in said:
        reason, pause = verdict_of(sentence)
        expected = BLOCKS.get(start) or (VERDICTS[start], pause)
        assert (reason, pause) == expected, sentence
        if start in VERDICTS:
            assert pause in ((Pause.NONE, Pause.SOFT) if reason in SOFT else (Pause.NONE,)), sentence


def test_no_other_sentence_of_yt_dlp_pauses_anybody() -> None:
    known = [*BLOCKS, *VERDICTS]
    for sentence in FOUND:
        reason, pause = verdict_of(sentence)
        if not any(start in sentence.text for start in known):
            assert pause is not Pause.HARD, (sentence, reason)
            assert pause is Pause.NONE or reason in SOFT, (sentence, reason)


def test_sentences_that_the_table_lacks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`pytest -s` shows them: what a new release of yt-dlp says that no rule knows."""
    lacking = [s for s in FOUND if s.is_error and verdict_of(s)[0] in (Reason.EXTRACTOR_ERROR, Reason.UNKNOWN_ANSWER)]
    with capsys.disabled():
        print(f"\n{len(FOUND)} sentences of yt-dlp, {len(lacking)} errors among them without a rule:")
        for sentence in lacking:
            if sentence.where.startswith("extractor/youtube"):
                print(f"  {sentence.where}: {sentence.text[:100]}")
    assert len(FOUND) > 100
    assert all(verdict_of(sentence)[1] is Pause.NONE for sentence in lacking)


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


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("player", 429, (Reason.RATE_LIMITED, Pause.HARD)),
        ("other", 429, (Reason.RATE_LIMITED, Pause.HARD)),
        ("caption", 429, None),
        ("player", 500, (Reason.SERVER_ERROR, Pause.SOFT)),
        ("player", 499, None),
        *(("media", status, (Reason.MEDIA_FORBIDDEN, Pause.SOFT)) for status in (401, 403, 404, 410)),
        *(("player", status, (Reason.FORBIDDEN, Pause.SOFT)) for status in (401, 403)),
        ("player", 404, None),
        ("player", 410, None),
        ("player", 407, (Reason.PROXY_REFUSED, Pause.HARD)),
        ("media", 416, (Reason.BAD_ANSWER, Pause.NONE)),
        ("player", 400, (Reason.BAD_ANSWER, Pause.SOFT)),
        ("player", 402, None),
        ("media", 206, None),
    ],
)
def test_what_a_status_means(kind: str, status: int, expected: tuple[Reason, Pause] | None) -> None:
    found = classify(Evidence([seen(status, kind)], text="Private video"))

    assert (found.reason, found.pause) == (expected or (Reason.PRIVATE, Pause.NONE))


def test_of_several_kinds_that_failed_the_worst_speaks_and_each_by_its_last_request() -> None:
    def reason(*requests: SeenRequest) -> Reason:
        return classify(Evidence(list(requests), text="odd")).reason

    lost = seen(0, "media", error="TransportError")
    assert reason(seen(400, "page"), lost) is reason(lost, seen(400, "page")) is Reason.BAD_ANSWER
    assert reason(seen(429, "other"), seen(503, "page")) is Reason.RATE_LIMITED
    assert reason(seen(503, "page"), seen(429, "other")) is Reason.RATE_LIMITED
    assert reason(lost, seen(200, "page")) is Reason.CONNECTION_RESET
    assert reason(seen(0, "player", error=PROXY_PASSWORD)) is Reason.PROXY_REFUSED
    assert reason(seen(200, "player", error="TransportError")) is Reason.EXTRACTOR_ERROR, "it was answered"
    nothing = SeenRequest("player", "youtube.com", "/youtubei/v1/player")
    assert nothing.status == 0 and reason(nothing) is Reason.EXTRACTOR_ERROR
    for side in (SeenRequest("page", "youtube.com", "/embed/x", 503), seen(503, "list"), seen(503, "other")):
        assert reason(side) is Reason.EXTRACTOR_ERROR, "it is not the video"
    near = SeenRequest("player", "youtube.com", "/youtubei/v1/next", 503)
    assert reason(near) is Reason.EXTRACTOR_ERROR


@pytest.mark.parametrize(
    ("error", "reason", "pause"),
    [
        (UnsupportedError("https://a/"), Reason.BAD_ID, Pause.NONE),
        (PostProcessingError("ffmpeg failed"), Reason.BROKEN_MEDIA, Pause.NONE),
        (ContentTooShortError(10, 20), Reason.CONNECTION_RESET, Pause.SOFT),
        (CookieLoadError("bad"), Reason.BAD_COOKIES, Pause.HARD),
        (ForeignAddress("elsewhere"), Reason.BAD_ANSWER, Pause.NONE),
        (TransportError("The read operation Timed  Out"), Reason.STALLED, Pause.SOFT),
        (RequestError("odd"), Reason.CONNECTION_RESET, Pause.SOFT),
        (OSError(28, "No space"), Reason.NO_DISK, Pause.NONE),
        (OSError(122, "Quota"), Reason.NO_DISK, Pause.NONE),
        (OSError(5, "I/O"), Reason.EXTRACTOR_ERROR, Pause.NONE),
        (ProxyError("port 1407 is closed"), Reason.PROXY_REFUSED, Pause.SOFT),
        (GeoRestrictedError("no"), Reason.GEO_BLOCKED, Pause.NONE),
    ],
)
def test_what_an_error_s_class_means(error: Exception, reason: Reason, pause: Pause) -> None:
    found = classify(Evidence(error=error))

    assert (found.reason, found.pause) == (reason, pause)
    if reason is Reason.GEO_BLOCKED:
        assert found.detail == "available in: not said" and found.countries == ()


def test_details_are_one_line_of_a_length_and_the_text_that_was_given_comes_first() -> None:
    found = classify(Evidence(text="odd\n  words " + "x" * 900, error=ValueError("other")))
    assert len(found.detail) == 400 and found.detail.startswith("odd words xxx")
    assert classify(Evidence(error=ValueError("of the error"))).detail == "of the error"
    assert len(signature(Failure(Reason.EXTRACTOR_ERROR, "long words " * 99))) == 200
    assert message_of(None) == ""

"""Answers that a fault spoils: one in place of the proper answer, or the proper answer changed."""

import json
import re
from dataclasses import replace

from miniyoutube import data_api, innertube, listings
from miniyoutube.answers import CONSENT_PAGE, Answer, Conduct, Json, Request, error_answer, html_answer, json_answer
from miniyoutube.catalogue import Video
from miniyoutube.faults import Fault, SiteRequest
from miniyoutube.script import without_head

_ANY_PLAYER = frozenset({"WEB_EMBEDDED_PLAYER", "TVHTML5", "WEB", "MWEB"})
"""Players that a video made for kids doesn't refuse."""


_TIMESTAMP = re.compile(rb',"STS":\d+')
"""What spares a page's player a look into its script."""

LOGGED_IN = b'"LOGGED_IN":true'
"""What a page says to somebody with an account's cookies."""


def plain_fault(fault: Fault, asked: SiteRequest) -> Answer | None:
    """The answer of a fault that needs no proper answer; None for other faults."""
    if fault.effect in innertube.REFUSALS and fault.effect != "kids_client":
        refused = innertube.refusal(asked.video_id, fault.effect)
        if fault.effect == "upcoming":
            refused["videoDetails"] |= {"isUpcoming": True, "isLiveContent": True, "title": "Soon"}
        return json_answer(refused)
    if fault.where == "data_api" and fault.effect in data_api.ERRORS:
        return data_api.error(fault.effect)
    match fault.effect:
        case "status":
            return error_answer(fault.status)
        case "redirect":
            return Answer(302, headers={"Location": fault.location})
        case "reset":
            return Answer(conduct=Conduct.RESET)
        case "stall":
            return Answer(conduct=Conduct.STALL)
        case "html":
            return html_answer(CONSENT_PAGE)
        case "empty" if asked.where in ("media", "captions"):
            return Answer(content_type="video/mp4")
        case "empty":
            return json_answer({"responseContext": {}})
        case "unknown_layout":
            return json_answer(listings.unknown_layout_page())
    return None


def _dropped(honest: Answer) -> Answer:
    """Ends the body early: nothing beyond the middle of a file is ever sent, so a retry alone doesn't help."""
    if honest.slice is None:
        return replace(honest, conduct=Conduct.DROP, sent_bytes=honest.n_bytes // 2)
    middle = honest.slice.path.stat().st_size // 2
    return replace(honest, conduct=Conduct.DROP, sent_bytes=max(0, min(middle, honest.slice.end) - honest.slice.first))


def edited(video: Video, fault: Fault, generation: int) -> Video:
    """The film after its uploader edited it."""
    head_ms = {"trimmed": 5000, "shrinking": 2000 * (generation - 1)}[fault.effect]
    return replace(video, script=without_head(video.script, head_ms), footage=without_head(video.footage, head_ms))


def spoilt(fault: Fault, honest: Answer, request: Request, video: Video | None) -> Answer:
    """Applies a fault to the proper answer."""
    if fault.effect == "drip":
        return replace(honest, conduct=Conduct.DRIP)
    if fault.effect == "drop":
        return _dropped(honest)
    if fault.effect == "cut":
        return replace(honest, body=honest.body[: honest.n_bytes // 2])
    if fault.effect in ("logged_out", "rotated"):
        expired = "LOGIN_INFO=; Domain=.youtube.com; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT"
        headers = {"Set-Cookie": expired} if fault.effect == "rotated" else {}
        return replace(honest, body=honest.body.replace(LOGGED_IN, LOGGED_IN[:-4] + b"false"), headers=headers)
    if fault.effect == "no_videos_tab":
        return replace(honest, body=honest.body.replace(b'"Videos"', b'"Home"').replace(b'/videos"', b'/featured"'))
    if fault.effect == "challenge" and request.method == "GET":
        return replace(honest, body=_TIMESTAMP.sub(b"", honest.body))
    data = json.loads(honest.body)
    if fault.where == "data_api":
        return json_answer(data_api.spoilt(fault.effect, data))
    client = client_name(request.body)
    if fault.effect == "kids_client":
        return (
            honest
            if client in _ANY_PLAYER or video is None
            else json_answer(innertube.refusal(video.video_id, "kids_client"))
        )
    if fault.effect == "joint_only":
        data["streamingData"]["adaptiveFormats"] = []
    if fault.effect == "other_id":
        data["videoDetails"]["videoId"] = "aaaaaaaaaaa"
    for stream in data["streamingData"]["formats"] + data["streamingData"]["adaptiveFormats"]:
        if fault.effect == "reencoded" and "contentLength" in stream:
            stream["contentLength"] = str(int(stream["contentLength"]) + 100)
        if fault.effect == "sabr":
            del stream["url"]
        if fault.effect == "drm":
            stream["drmFamilies"] = ["WIDEVINE"]
        if fault.effect == "challenge":
            stream["url"] += f"&n={innertube.challenge_of(request.body['videoId'])}"
    return json_answer(data)


def client_name(body: Json) -> str:
    """The player's or browser's name in an API request."""
    context = body.get("context")
    client = context.get("client") if isinstance(context, dict) else None
    return str(client.get("clientName", "")) if isinstance(client, dict) else ""

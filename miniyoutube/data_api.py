"""The site's Data API v3 in the mini-YouTube: the videos of some ids, with keys, units and errors.

Errors have the real API's two forms at once: `errors` with a reason each, and the newer `status` and `details`.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from miniyoutube.answers import Answer, Json, Request, json_answer
from miniyoutube.catalogue import CREATIVE_COMMONS, Catalogue, Video

MOST_IDS = 50
LATER = "2100-01-01T00:00:00Z"
"""When what is to come starts: as in the lists."""
GONE = frozenset({"private", "removed", "terminated", "copyright", "not_available"})
"""Refusals of the player to everybody: the API leaves such videos out."""

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True, slots=True)
class _Error:
    status: int
    reason: str
    message: str
    domain: str = "global"
    grpc: str = ""
    info: str = ""


_QUOTA = "The request cannot be completed because you have exceeded your quota."
ERRORS: dict[str, _Error] = {
    "quotaExceeded": _Error(403, "quotaExceeded", _QUOTA, "youtube.quota"),
    "rateLimitExceeded": _Error(
        429, "rateLimitExceeded", "Rate Limit Exceeded", "usageLimits", "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"
    ),
    "keyInvalid": _Error(
        400,
        "badRequest",
        "API key not valid. Please pass a valid API key.",
        grpc="INVALID_ARGUMENT",
        info="API_KEY_INVALID",
    ),
    "accessNotConfigured": _Error(
        403,
        "accessNotConfigured",
        "YouTube Data API v3 has not been used in project 1234 before or it is disabled.",
        "usageLimits",
        "PERMISSION_DENIED",
        "SERVICE_DISABLED",
    ),
    "backendError": _Error(503, "backendError", "Backend Error", grpc="UNAVAILABLE"),
    "invalidParameter": _Error(400, "invalidFilters", "Invalid combination of filters.", "youtube.parameter"),
}
"""By the name of a fault's effect."""


def error(name: str) -> Answer:
    """An error as the API writes it."""
    said = ERRORS[name]
    body: Json = {
        "code": said.status,
        "message": said.message,
        "errors": [{"message": said.message, "domain": said.domain, "reason": said.reason}],
    }
    if said.grpc:
        body["status"] = said.grpc
    if said.info:
        body["details"] = [{"@type": _ERROR_INFO, "reason": said.info, "domain": "googleapis.com"}]
    return json_answer({"error": body}, said.status)


@dataclass
class DataApi:
    """The API of a catalogue. `units`: what each key may use in a day, and no other key is valid; None: any key has
    10,000.
    """

    catalogue: Catalogue
    units: Mapping[str, int] | None = None
    used: dict[str, int] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> Answer:
        """Answers a request; each costs a unit of its key, also one that is refused."""
        key = request.headers.get("x-goog-api-key", request.query.get("key", ""))
        units = 10_000 if key and self.units is None else (self.units or {}).get(key)
        if units is None:
            return error("keyInvalid")
        with self._guard:
            self.used[key] = self.used.get(key, 0) + 1
            if self.used[key] > units:
                return error("quotaExceeded")
        is_known = request.path.removeprefix("/youtube/v3/") == "videos"
        return self._videos(request.query) if is_known else error("invalidParameter")

    def _videos(self, query: Mapping[str, str]) -> Answer:
        ids = query.get("id", "").split(",")
        if len(ids) > MOST_IDS or "maxResults" in query:
            return error("invalidParameter")
        videos = [self.catalogue.by_id[i] for i in dict.fromkeys(ids) if i in self.catalogue.by_id]
        items = [_with_parts(video_resource(video), query) for video in videos if is_public(video)]
        page = {"totalResults": len(items), "resultsPerPage": len(items)}
        return json_answer({"kind": "youtube#videoListResponse", "etag": "mini", "items": items, "pageInfo": page})


def is_public(video: Video) -> bool:
    """Whether everybody may see a video: the API knows no others."""
    return not any(fault.where == "player" and fault.effect in GONE for fault in video.faults)


def video_resource(video: Video) -> Json:
    """All parts of a video."""
    refused = {fault.effect for fault in video.faults if fault.where == "player"}
    details: Json = {
        "duration": "P0D" if video.live else _duration(video.duration_s),
        "dimension": "2d",
        "definition": "hd" if max(video.renditions, default=0) >= 720 else "sd",
        "caption": "true" if any(track.kind == "manual" for track in video.tracks) else "false",
        "licensedContent": False,
        "contentRating": {"ytRating": "ytAgeRestricted"} if "age" in refused or not video.family_safe else {},
        "projection": "rectangular",
    }
    if "geo" in refused:
        details["regionRestriction"] = {"allowed": ["GB"]}
    snippet = {
        "publishedAt": f"{video.upload_date}T12:00:00Z",
        "channelId": video.channel.channel_id,
        "title": video.title,
        "description": "",
        "channelTitle": video.channel.name,
        "categoryId": str(video.category_id),
        "liveBroadcastContent": {"is_upcoming": "upcoming", "": "none"}.get(video.live, "live"),
        "defaultAudioLanguage": video.script.language,
    }
    status = {
        "uploadStatus": "processed",
        "privacyStatus": "public",
        "license": "creativeCommon" if video.license == CREATIVE_COMMONS else "youtube",
        "embeddable": True,
        "madeForKids": video.made_for_kids,
    }
    parts = {"snippet": snippet, "contentDetails": details, "status": status}
    return {
        "kind": "youtube#video",
        "etag": "mini",
        "id": video.video_id,
        **parts,
        **({"liveStreamingDetails": {"scheduledStartTime": LATER}} if video.live == "is_upcoming" else {}),
        "statistics": {"viewCount": str(video.view_count), "favoriteCount": "0"},
    }


def _with_parts(resource: Json, query: Mapping[str, str]) -> Json:
    """Only the parts that were asked for."""
    asked = {"kind", "etag", "id", *query.get("part", "").split(",")}
    return {name: value for name, value in resource.items() if name in asked}


def _duration(seconds: int) -> str:
    """ISO 8601, as the API writes it: PT4M5S."""
    hours, rest = divmod(seconds, 3600)
    parts = [f"{n}{unit}" for n, unit in ((hours, "H"), (rest // 60, "M"), (rest % 60, "S")) if n]
    return "PT" + ("".join(parts) or "0S")


def spoilt(effect: str, answer: Json) -> Json:
    """A proper answer with a fault of its content."""
    items: Sequence[Any] = answer.get("items", [])
    if effect == "items_missing":  # fewer than the answer says that there are
        return answer | {"items": items[: len(items) // 2]}
    if effect == "no_items":
        return answer | {"items": [], "pageInfo": {"totalResults": 0, "resultsPerPage": 0}}
    if effect == "hostile":
        return answer | {"items": [_hostile(item, n) for n, item in enumerate(items)]}
    return answer


def _hostile(item: Any, n: int) -> Any:
    """An item whose values have other types and sizes than they should."""
    odd: list[Any] = [None, [], {}, -1, "x" * 10_000, "9" * 400, True, {"id": ["a"]}, "\ud800", "P" + "9" * 50 + "D"]
    value = odd[n % len(odd)]
    parts = {name: dict.fromkeys(part, value) if isinstance(part, dict) else part for name, part in item.items()}
    return parts | {"id": value} if n % 7 == 3 else parts

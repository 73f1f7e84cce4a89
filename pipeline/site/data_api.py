"""YouTube's Data API v3, as far as a crawl needs it: facts of up to 50 videos for a unit of the day's quota.

Ids that are gone are missing from the answer.

The key goes into a header, so that it is in no address. Requests go out as the first identity's, without its session:
one key that came from many addresses would tie them together. A refusal is about the key or its quota and never about a
video: the API is paused, and what it would have told is found out from the site, as without a key.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import yt_dlp
from yt_dlp.networking.common import Request
from yt_dlp.networking.exceptions import HTTPError, RequestError

from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig
from pipeline.engine.work.unit import StopRun
from pipeline.site.api_quota import NO_UNITS
from pipeline.site.options import given_options
from pipeline.site.own_hosts import hold_redirects
from pipeline.site.redact import redact, secrets_of
from pipeline.site.transfers import SOCKET_TIMEOUT_S

log = logging.getLogger("hdvila")

Json = dict[str, Any]

ADDRESS = "https://www.googleapis.com/youtube/v3/"
PARTS = "snippet,contentDetails,status,statistics,liveStreamingDetails"
TRIES = 3
MAX_ANSWER_BYTES = 8 * 1024**2
BLOCK_BYTES = 1 << 16
TIME_LIMIT_S = 60.0
"""Of an answer, by the clock."""
PASSED_ON = ("nocheckcertificate", "socket_timeout", "source_address")
"""Options of yt-dlp that hold for the API too."""

OUT_OF_UNITS = frozenset({"quotaExceeded", "dailyLimitExceeded"})
TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"})
BAD_KEY = frozenset({"keyInvalid", "keyExpired", "accessNotConfigured", "ipRefererBlocked", "SERVICE_DISABLED"})
BAD_KEY_PREFIXES = ("API_KEY_", "CONSUMER_")


class NotNow(Exception):
    """The API is not asked for a while: no units are left, or it does not answer."""


class _Refused(Exception):
    """A request failed. `pause`: why the API is not asked for a while."""

    def __init__(self, pause: str, *, again: bool = False) -> None:
        super().__init__(pause)
        self.pause, self.again = pause, again


class PoliteApi(Protocol):
    """What this asks of politeness: the same calls whether it is local or in an actor."""

    def api_turn(self) -> float: ...

    def api_report(self, refused: str) -> float: ...


class _Client(yt_dlp.YoutubeDL):  # type: ignore[misc, unused-ignore]
    """yt-dlp's network side, which follows no redirect: a key goes to no other host."""

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        director = super().build_request_director(handlers, preferences)
        for handler in director.handlers.values():
            hold_redirects(handler, lambda: True)
        return director


class DataApi:
    """The API with the configured key, for one piece of work: use it in a `with` block."""

    def __init__(self, config: CrawlConfig, polite: PoliteApi) -> None:
        self._config, self._polite = config, polite
        identity = config.pool()[0]
        given = given_options(config, identity)
        options: dict[str, Any] = {"quiet": True, "cachedir": False, "socket_timeout": SOCKET_TIMEOUT_S}
        options |= {name: given[name] for name in PASSED_ON if name in given}
        if proxy := identity.proxy.get_secret_value():
            options["proxy"] = proxy
        self._client = _Client(options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def videos(self, video_ids: Sequence[str]) -> tuple[list[Json], bool]:
        """The resources of at most 50 videos, and whether these are all: what is missing then is gone or private.

        Raises NotNow, StopRun.
        """
        answer = self._get("videos", {"part": PARTS, "id": ",".join(video_ids)})
        items, page = _items(answer), answer.get("pageInfo")
        own = {item["id"]: item for item in items if isinstance(item.get("id"), str) and item["id"] in video_ids}
        is_whole = isinstance(page, dict) and page.get("totalResults") == len(items) == len(own)
        return [*own.values()], is_whole

    def _get(self, method: str, query: Mapping[str, str]) -> Json:
        """The answer to a request, asked for again if it is garbled or lost on the way."""
        for n in range(TRIES):
            if (paused_s := self._polite.api_turn()) > 0:
                raise NotNow(f"paused for another {paused_s:.0f} s")
            try:
                answer = _checked(*self._ask(method, query))
            except _Refused as refused:
                if not refused.again or n + 1 == TRIES:
                    raise self._pause(refused) from None
                time.sleep(self._config.retry_wait_s * 2**n)
                continue
            self._polite.api_report("")
            return answer
        raise AssertionError("the last try returns or raises")

    def _ask(self, method: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """(status, body) of a request."""
        headers = {"X-Goog-Api-Key": self._config.data_api.key, "User-Agent": "hdvila", "Accept": "application/json"}
        request = Request(f"{ADDRESS}{method}?{urlencode(query)}", headers=headers)
        try:
            try:
                response = self._client.urlopen(request)
            except HTTPError as error:
                response = error.response
            with response:
                return int(response.status), _body(response)
        except RequestError as error:
            raise _Refused(f"no answer ({type(error).__name__})", again=True) from None

    def _pause(self, refused: _Refused) -> NotNow:
        if paused_s := self._polite.api_report(refused.pause):
            said = redact(refused.pause, secrets_of(self._config))
            log.warning("Data API: %s; not asked for %.0f s, candidates are looked at without it", said, paused_s)
        return NotNow(refused.pause)


def _body(response: Any) -> bytes:
    """A body within the limits of time and size."""
    until, body = time.monotonic() + TIME_LIMIT_S, b""
    while block := response.read(BLOCK_BYTES):
        body += block
        if len(body) > MAX_ANSWER_BYTES or time.monotonic() > until:
            raise _Refused("an answer too long or too slow", again=True)
    return body


def _checked(status: int, body: bytes) -> Json:
    """An answer of the API. Raises _Refused and StopRun."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _Refused(f"not an answer of the API (status {status}, {len(body)} bytes)", again=True)
    if status == 200 and "error" not in answer:
        return answer
    error = answer.get("error")
    error = error if isinstance(error, dict) else {}
    reasons, said = _reasons(error), str(error.get("message") or "")
    if reasons & OUT_OF_UNITS or (reasons & TOO_FAST and "per day" in said):
        raise _Refused(NO_UNITS)
    if reasons & TOO_FAST or status == 429:
        raise _Refused("too many requests")
    if status == 401 or reasons & BAD_KEY or any(r.startswith(BAD_KEY_PREFIXES) for r in reasons) or "API key" in said:
        why = ", ".join(sorted(reasons)) or f"status {status}"
        raise StopRun(Reason.BAD_KEY, f"the Data API refuses the key of crawl.data_api.key_file ({why[:200]}); {CURE}")
    raise _Refused(f"status {status} ({', '.join(sorted(reasons))[:200] or 'no reason'})", again=status >= 500)


CURE = (
    "make a key at console.cloud.google.com with YouTube Data API v3 enabled and this machine allowed, or leave "
    "crawl.data_api out"
)


def _reasons(error: Json) -> set[str]:
    """The reasons of an error, in its older form (`errors`) and its newer (`details`, `status`)."""
    listed = [*_objects(error.get("errors")), *_objects(error.get("details"))]
    reasons = {str(one["reason"]) for one in listed if isinstance(one.get("reason"), str)}
    return reasons | ({str(error["status"])} & TOO_FAST if isinstance(error.get("status"), str) else set())


def _items(answer: Json) -> list[Json]:
    """The items of an answer, whatever else it holds."""
    return _objects(answer.get("items"))


def _objects(given: Any) -> list[Json]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []

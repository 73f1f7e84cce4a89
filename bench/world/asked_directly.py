"""The mini-YouTube's answers without a network: yt-dlp's requests go to its handlers, on a virtual clock.

A request takes LATENCY_S and is logged with the identity that it came from, as the server does. Media come without
bytes. The site refuses whoever asks too fast, and has troubles that begin and end at set times.
"""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

from yt_dlp.networking import common
from yt_dlp.networking.exceptions import HTTPError

from bench.world.turns import Turns
from miniyoutube import innertube
from miniyoutube.answers import Answer, Request
from miniyoutube.catalogue import Catalogue
from miniyoutube.faults import Fault
from miniyoutube.media_cache import MediaCache
from miniyoutube.request_log import LoggedRequest
from miniyoutube.youtube_pages import Site

LATENCY_S = 0.3
SESSION = ("watch", "player", "next", "embed")
"""Requests that count towards what the site lets a session ask in an hour."""
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong with the site from `begins_h` until `ends_h`, hours.

    `words`: refusals that are said in other words meanwhile.
    """

    name: str
    begins_h: float
    ends_h: float
    faults: tuple[Fault, ...] = ()
    words: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the site saw it. `about`: what it was for, which only the crawl knows: video, media, list, sentinel.

    `is_blocked`: it was refused because of who asked.
    """

    at_s: float
    identity: str
    kind: str
    video_id: str
    about: str
    is_blocked: bool


BLOCKS = ("bot_check", "session_limit", "status", "logged_out")
"""Effects of faults that are about who asks."""


@dataclass(slots=True)
class Asked:
    """The site, and what it was asked. `most_an_hour`: requests of a session before it is refused."""

    catalogue: Catalogue
    turns: Turns
    troubles: Sequence[Trouble]
    most_an_hour: float
    latency_s: float = LATENCY_S
    log: list[Seen] = field(default_factory=list)
    site: Site = field(init=False)
    n_limited: Counter[str] = field(default_factory=Counter)
    """By identity: requests that were refused because it asked too fast."""
    _on: list[Trouble] = field(default_factory=list)
    _recent: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def __post_init__(self) -> None:
        self.site = Site(self.catalogue, MediaCache())

    @contextmanager
    def answering(self) -> Iterator[None]:
        """In the block, every request of yt-dlp comes here."""
        asked = self

        class SiteRH(common.RequestHandler):  # type: ignore[misc, unused-ignore]
            _SUPPORTED_URL_SCHEMES = ("http", "https")
            _SUPPORTED_PROXY_SCHEMES = None
            _SUPPORTED_FEATURES = None

            def _check_extensions(self, extensions: dict[str, Any]) -> None:
                extensions.clear()

            def _send(self, request: common.Request) -> common.Response:
                return asked.answer(request, self)

        with (
            mock.patch.dict(common._REQUEST_HANDLERS, {"Site": SiteRH}, clear=True),
            mock.patch.dict(innertube.REFUSALS),
        ):
            yield

    def answer(self, request: common.Request, handler: Any) -> common.Response:
        """The answer to a request of yt-dlp. Raises HTTPError as its handlers do."""
        url, headers = urlsplit(request.url), handler._get_headers(request)
        if cookies := handler._get_cookiejar(request).get_cookie_header(request.url):
            headers["Cookie"] = cookies
        named = {name.lower(): value for name, value in headers.items()}
        identity = urlsplit(handler._get_proxies(request).get("all", "")).username or ""
        body = json.loads(request.data) if request.data else {}
        sent = Request(
            identity, url.hostname or "", request.method, url.path or "/", dict(parse_qsl(url.query)), named, body
        )
        self.turns.sleep(self.latency_s)
        seen = LoggedRequest(self.turns.now(), sent.host, sent.method, sent.path, sent.query, "other")
        got = self._answer(sent, seen)
        asker = getattr(handler._logger._ydl, "session", None)
        is_blocked = seen.fault in BLOCKS
        self.log.append(Seen(seen.at_s, identity, seen.kind, seen.video_id, getattr(asker, "about", ""), is_blocked))
        response = common.Response(io.BytesIO(got.body), request.url, got.headers, got.status)
        if got.status >= 400:
            raise HTTPError(response)
        return response

    def _answer(self, sent: Request, seen: LoggedRequest) -> Answer:
        self._keep_time(seen.at_s)
        if sent.host.endswith(".googlevideo.com"):
            seen.kind, seen.video_id = "media", sent.query.get("id", "")
            return Answer(206, "video/mp4", headers={"Content-Range": "bytes 0-0/1"})
        got = self.site.answer(sent, seen)
        if seen.kind in SESSION:
            self._recent[sent.identity].append(seen.at_s)
        if seen.kind == "player" and self._is_too_fast(sent.identity, seen.at_s):
            self.n_limited[sent.identity] += 1
            seen.fault = "session_limit"
            return Answer(body=json.dumps(innertube.refusal(seen.video_id, "session_limit")).encode())
        return got

    def _is_too_fast(self, identity: str, now: float) -> bool:
        recent = self._recent[identity]
        while recent and recent[0] <= now - HOUR_S:
            recent.popleft()
        return len(recent) > self.most_an_hour

    def _keep_time(self, now: float) -> None:
        """Begins and ends troubles."""
        on = [trouble for trouble in self.troubles if trouble.begins_h <= now / HOUR_S < trouble.ends_h]
        if on == self._on:
            return
        self._on = on
        self.site.faults.relent()
        self.site.faults.misbehave(*(fault for trouble in on for fault in trouble.faults))
        innertube.REFUSALS.clear()
        innertube.REFUSALS.update(REFUSALS)
        for trouble in on:
            innertube.REFUSALS.update({name: dict(said) for name, said in trouble.words.items()})


REFUSALS = dict(innertube.REFUSALS)
"""As they are when nothing is wrong."""

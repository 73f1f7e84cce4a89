"""The real yt-dlp as a library, with what it hides made visible.

`RecordingYoutubeDL` is yt-dlp's own class with a few methods overridden. Every request of an extractor and of the
native downloader goes through `urlopen`: there a politeness token is taken, the wall-clock limit is checked, and the
status of the answer is recorded. Warnings, and what yt-dlp writes only to its debug log, are kept.

This module decides nothing: pipeline.site.failures says what a failure means, pipeline.crawl.rounds and
pipeline.site.fetch what to do next.
"""

import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking.common import Request, Response
from yt_dlp.networking.exceptions import HTTPError, ProxyError, RequestError
from yt_dlp.utils import ExtractorError
from yt_dlp.version import __version__ as YT_DLP_VERSION

from manifests.reasons import Reason
from pipeline.engine.work.unit import StopRun
from pipeline.site.failures import (
    A_PAGE,
    EXTRACTOR_BUGS,
    PROXY_DEAD,
    PROXY_PASSWORD,
    AfterRefusal,
    DeadlinePassed,
    Evidence,
    SeenRequest,
    is_a_page,
)
from pipeline.site.info import documented
from pipeline.site.own_hosts import MAX_HOPS, OWN_HOSTS, check_own, hold_redirects, next_hop

__all__ = [
    "YT_DLP_VERSION",
    "IdentityPaused",
    "Info",
    "RecordingYoutubeDL",
    "Session",
    "extract_video",
    "list_entries",
    "open_site",
]

Info = dict[str, Any]
"""yt-dlp's own dictionary for a video, or for an entry of a list; any key may be missing."""
WATCH_URL = "https://www.youtube.com/watch?v={}"
MADE_FOR_KIDS = re.compile(rb'"isMadeForKids"\s*:\s*true')
"""A field of the page: its words alone may be those of a description."""
LOGGED_OUT = re.compile(rb'"LOGGED_IN"\s*:\s*false|"loggedOut"\s*:\s*true')
"""What a page, or an answer to its scripts, says to a guest."""
LOGIN_COOKIE = "LOGIN_INFO"
"""The cookie that the site clears when an account's cookies are no longer valid, as yt-dlp found."""
MAX_WARNINGS = 200
MAX_LISTS = 3
LIST_PATHS = ("/results", "/playlist", "/channel/", "/@", "/c/", "/user/", "/feed/", "/hashtag/")
"""Pages that are lists, besides the home page; `/tv`, `/sw.js` and scripts are not."""
MAX_WORKS, MAX_AGE_S = 1000, 6 * 3600.0
"""A session ends then: it keeps every player's script and every solved challenge that it met."""
_LABELS = re.compile(rb'"qualityLabel"\s*:\s*"(\d{2,5})p')
"""Sizes in a page's own list of formats: `720p`, `720p60`. Thumbnails have heights too, but no label."""


class IdentityPaused(Exception):
    """The identity of this work was paused meanwhile: continue with another. Not an error of the video."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"paused for {seconds:.0f} s")
        self.seconds = seconds


@dataclass(slots=True)
class Session:
    """One piece of work: a listing, an extraction, a download. `take` waits for a token (politeness)."""

    take: Callable[[str, str], float]  # (host, kind) → 0.0, or the seconds for which the identity is paused
    deadline: float  # on time.monotonic(); waiting for tokens does not count
    about: str = "video"  # or "list"
    requests: list[SeenRequest] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    made_for_kids: bool = False
    captions_locked: bool = False
    listed_sizes: frozenset[int] = frozenset()  # short sides that the watch page's own list of formats names
    refused: bool = False  # a request was answered with 429: no more are sent
    own_hosts_only: bool = False  # while captions or media are asked for

    def check_deadline(self, *_progress: Any) -> None:
        """Raises DeadlinePassed if the deadline is over. Also serves as yt-dlp's progress hook."""
        if time.monotonic() > self.deadline:
            raise DeadlinePassed("exceeded its time limit")

    def wait_for_token(self, host: str, kind: str) -> None:
        """Blocks until the request may go. Raises IdentityPaused, and AfterRefusal after any request got a 429."""
        if self.refused:
            raise AfterRefusal(f"no {kind} request after a 429")
        started = time.monotonic()
        paused_s = self.take(host, kind)
        self.deadline += time.monotonic() - started
        if paused_s > 0:
            raise IdentityPaused(paused_s)

    @contextmanager
    def only_own_hosts(self) -> Iterator[None]:
        """During the block, requests and their redirects go only to the site's own hosts."""
        self.own_hosts_only = True
        try:
            yield
        finally:
            self.own_hosts_only = False

    def note(self, text: str) -> None:
        """Keeps a warning, or a debug line that says what yt-dlp left out."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(text)
        lower = text.casefold()
        if "subtitles require a po token" in lower or "missing subtitles languages" in lower:
            self.captions_locked = True

    def evidence(self, error: BaseException | None = None, text: str = "") -> Evidence:
        """All that is known, for pipeline.site.failures."""
        return Evidence(tuple(self.requests), error, tuple(self.warnings), text, self.about)


def no_token(_host: str, _kind: str) -> float:
    """A `take` that never waits: for tests of single calls and for the doctor."""
    return 0.0


class RecordingYoutubeDL(yt_dlp.YoutubeDL):  # type: ignore[misc, unused-ignore]
    """yt-dlp that records what it sees in `session`. An object serves one thread; `begin` starts the next work."""

    params: dict[str, Any]
    format_selector: Any

    def __init__(self, params: dict[str, Any], session: Session) -> None:
        self.session = session
        self._opened_at, self._n_works = time.monotonic(), 0
        super().__init__({**params, "logger": WarningLogger(self), "progress_hooks": [self._progress]})
        self._expects_login = self._has_login()

    def _has_login(self) -> bool:
        return any(cookie.name == LOGIN_COOKIE for cookie in self.cookiejar)

    def begin(self, session: Session) -> None:
        """Continues the guest session with the next work; one-time warnings may appear again."""
        self.session = session
        self._n_works += 1
        for extractor in self._ies_instances.values():
            extractor._printed_messages.clear()

    @property
    def is_old(self) -> bool:
        """Whether the next work should begin another session."""
        return self._n_works >= MAX_WORKS or time.monotonic() - self._opened_at > MAX_AGE_S

    @contextmanager
    def downloading(self, format_: str, options: Mapping[str, Any], hook: Callable[[Any], None]) -> Iterator[None]:
        """During the block, what is processed is downloaded in this format with these options too, and `hook` is told
        how it goes; afterwards all is as it was.
        """
        before = self.params, self.format_selector
        self.params = {**self.params, **options, "format": format_}
        self.format_selector = self.build_format_selector(format_)
        self.add_progress_hook(hook)
        try:
            yield
        finally:
            self.params, self.format_selector = before
            self._progress_hooks.remove(hook)

    def _progress(self, status: Any) -> None:
        self.session.check_deadline(status)

    def write_debug(self, message: str, only_once: bool = False) -> None:
        """Keeps messages about missing PO tokens: only the debug log says what was dropped for lack of a token."""
        if "PO Token" in message or "PO token" in message:
            self.session.note(message)
        super().write_debug(message, only_once=only_once)

    def urlopen(self, req: Any) -> Response:
        """See the module docstring. Raises DeadlinePassed, IdentityPaused, AfterRefusal: yt-dlp passes them on
        unchanged.
        """
        request = Request(req) if isinstance(req, str) else req
        if not self.session.own_hosts_only:
            return self._send(request)
        check_own(request.url)
        for _ in range(MAX_HOPS):
            try:
                response = self._send(request)
            except HTTPError as error:
                moved = next_hop(request, error)
                if moved is None:
                    raise
                error.close()
                request = moved
                continue
            check_own(response.url)
            return response
        raise RequestError("redirected too often")

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """yt-dlp's handlers, changed to hold redirects while only the site's own hosts may be asked."""
        director = super().build_request_director(handlers, preferences)
        for handler in director.handlers.values():
            hold_redirects(handler, lambda: self.session.own_hosts_only)
        return director

    def _send(self, request: Request) -> Response:
        """Sends a request: takes a token, checks the time limit, records how it ended."""
        host, kind, path = kind_of(request.url)
        session = self.session
        session.check_deadline()
        session.wait_for_token(host, kind)
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            session.requests.append(SeenRequest(kind, host, path, status=error.status))
            session.refused = session.refused or (error.status == 429 and host in OWN_HOSTS)
            raise
        except RequestError as error:
            session.requests.append(SeenRequest(kind, host, path, error=_network_error(error)))
            raise
        page = kind == "media" and is_a_page(_peek(response))
        session.requests.append(SeenRequest(kind, host, path, status=response.status, error=A_PAGE if page else ""))
        if page:
            raise RequestError(A_PAGE)
        is_read = path == "/watch" or (self._expects_login and kind in ("page", "list"))
        return self._read_page(response, kind, host, path) if is_read else response

    def _read_page(self, response: Response, kind: str, host: str, path: str) -> Response:
        """Keeps what the page says but yt-dlp does not report: made for kids, the sizes in its list of formats.

        Raises StopRun (bad_cookies) if it takes an account for a guest.
        """
        try:
            body = response.read()
        except RequestError as error:
            self.session.requests.append(SeenRequest(kind, host, path, error=_network_error(error)))
            raise
        if path == "/watch":
            self.session.made_for_kids = MADE_FOR_KIDS.search(body) is not None
            self.session.listed_sizes = frozenset(int(label) for label in _LABELS.findall(body))
        if self._expects_login and (LOGGED_OUT.search(body) or not self._has_login()):
            raise StopRun(Reason.BAD_COOKIES, "the site no longer takes its cookies for a login; export them again")
        return Response(io.BytesIO(body), response.url, response.headers, response.status, response.reason)


def _peek(response: Response) -> bytes:
    """The first bytes of a response, which whoever reads it gets too. Raises yt-dlp's network errors."""
    first, rest = bytes(response.read(64)), response.read
    unread = [first]

    def read(amt: int | None = None) -> bytes:
        if not unread:
            return bytes(rest(amt))
        return unread.pop() if amt is not None else unread.pop() + rest(None)

    response.read = read  # type: ignore[method-assign, unused-ignore]
    return first


class WarningLogger:
    """yt-dlp's logger: keeps warnings, prints nothing."""

    def __init__(self, ydl: RecordingYoutubeDL) -> None:
        self._ydl = ydl

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None:
        self._ydl.session.note(message)

    def error(self, message: str) -> None: ...


def kind_of(url: str) -> tuple[str, str, str]:
    """(site, kind, path) of a request; kinds: list page player caption media other. Media hosts count as one site."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    site = ".".join(host.split(".")[-2:])
    return site, _kind(site, parts.path), parts.path


def _kind(site: str, path: str) -> str:
    if site == "googlevideo.com":
        return "media"
    if site != "youtube.com":
        return "other"
    if path.startswith("/youtubei/v1/"):
        return "player" if path.rpartition("/")[2] in ("player", "next") else "list"
    if path == "/watch" or path.startswith("/embed/"):
        return "page"
    if path == "/api/timedtext":
        return "caption"
    return "list" if path in ("", "/") or path.startswith(LIST_PATHS) else "other"


def _network_error(error: RequestError) -> str:
    if isinstance(error, ProxyError):
        return PROXY_PASSWORD if "407" in str(error) else PROXY_DEAD
    text = str(error).casefold()
    return "Timeout" if "timed out" in text or "timeout" in text else type(error).__name__


def open_site(options: Mapping[str, Any], session: Session) -> RecordingYoutubeDL:
    """A yt-dlp object with a new guest session. Raises StopRun (bad_cookies) if the cookie file is not valid."""
    try:
        return RecordingYoutubeDL(dict(options), session)
    except yt_dlp.cookies.CookieLoadError:
        raise StopRun(
            Reason.BAD_COOKIES, "the cookie file is not in Netscape format; export it again with a browser extension"
        ) from None


def extract_video(ydl: RecordingYoutubeDL, video_id: str) -> Info:
    """yt-dlp's info of one video, unprocessed: formats, subtitles, automatic_captions … No media is requested.

    Raises yt-dlp's errors, DeadlinePassed, IdentityPaused. A video without formats is returned with `formats` empty.
    """
    try:
        info = ydl.extract_info(WATCH_URL.format(video_id), download=False, process=False)
    except EXTRACTOR_BUGS as error:
        raise ExtractorError(f"the extractor failed with {type(error).__name__}: {error}", cause=error) from error
    return {"id": video_id, **documented(info)} if info else {}


def list_entries(ydl: RecordingYoutubeDL, url: str) -> Iterator[Info]:
    """Yields the entries of a search, playlist or channel, requesting pages as needed. Raises as extract_video does."""
    try:
        info = ydl.extract_info(url, download=False, process=False) or {}
        for _ in range(MAX_LISTS):
            if info.get("_type") in ("url", "url_transparent"):
                info = ydl.extract_info(info["url"], ie_key=info.get("ie_key"), download=False, process=False) or {}
        yield from (dict(entry) for entry in info.get("entries") or () if entry)
    except EXTRACTOR_BUGS as error:
        raise ExtractorError(f"the extractor failed with {type(error).__name__}: {error}", cause=error) from error


def read_caption(ydl: RecordingYoutubeDL, url: str, max_bytes: int) -> bytes:
    """A caption file from the site's own hosts; of a longer one than `max_bytes`, a byte more than that.

    Raises yt-dlp's network errors.
    """
    with ydl.session.only_own_hosts(), ydl.urlopen(Request(url)) as response:
        return bytes(response.read(max_bytes + 1))


def upload_date_of(info: Mapping[str, Any]) -> str:
    """YYYYMMDD in UTC; "" if the site does not say."""
    if date := info.get("upload_date"):
        return str(date)
    stamp = info.get("timestamp")
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y%m%d") if isinstance(stamp, int | float) else ""

"""The table that says what a failure of yt-dlp means.

yt-dlp hides causes: a 429 on the player becomes "No video formats found!", a 429 on the watch page becomes a playable
video without a category. So the evidence is examined in this order, and the first rule that matches decides:

    recorded statuses  →  class of the exception  →  warnings that mean a block  →  message text
                       →  warnings that mean withheld formats  →  unknown

Statuses come from the record of requests alone, never from texts: yt-dlp's own sentences mention statuses that were
never sent ("… may yield HTTP Error 403"). A status counts only for what was asked for: a video's watch page, player and
media, or the pages of a list. The rest is the site's answer about this video if yt-dlp expected it (`unknown_answer`),
else a failure of the extractor itself (`extractor_error`); both are tried again later.

Every text match is in this file: when the site changes its wording, this is the file to change.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking.exceptions import HTTPError, ProxyError, RequestError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    PostProcessingError,
    UnsupportedError,
)

from manifests.reasons import Reason
from pipeline.site.own_hosts import ForeignAddress


class Pause(StrEnum):
    """What a failure says about the identity that asked."""

    NONE = "none"  # nothing
    SOFT = "soft"  # pause it if the next, different videos fail too
    HARD = "hard"  # pause it now
    CAPTIONS = "captions"  # pause its captions if those of the next video fail too


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request and how it ended. `status` 0: no answer; then `error` is the class of the network error."""

    kind: str
    host: str
    path: str  # without the query, which may be signed
    status: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about a failed piece of work."""

    requests: Sequence[SeenRequest] = ()
    error: BaseException | None = None
    warnings: Sequence[str] = ()
    text: str = ""
    about: str = "video"  # or "list": what was asked for


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure means. `look_again`: another client may be able to see the video; `elsewhere`: another country."""

    reason: Reason
    detail: str = ""
    pause: Pause = Pause.NONE
    look_again: bool = False
    elsewhere: bool = False
    countries: tuple[str, ...] = ()  # where the video is available, according to the site
    wait_s: float = 0.0  # until the video can be had, according to the site; 0: not said
    at_once: bool = True  # whether another attempt soon after may heal it
    reached: bool = False  # whether the site had answered any request by then


class AfterRefusal(Exception):
    """A request was not sent because an earlier request of the same attempt was answered with 429."""


class DeadlinePassed(Exception):
    """A piece of work exceeded its wall-clock limit. Not an OSError: yt-dlp would retry that."""


@dataclass(frozen=True, slots=True)
class _TextRule:
    pattern: re.Pattern[str]
    reason: Reason
    pause: Pause = Pause.NONE
    look_again: bool = False
    elsewhere: bool = False


def _rule(pattern: str, reason: Reason, pause: Pause = Pause.NONE, **hints: bool) -> _TextRule:
    return _TextRule(re.compile(pattern), reason, pause, **hints)


BLOCK_WARNINGS = (
    _rule(r"got player responses for video|player responses are invalid", Reason.BAD_ANSWER, Pause.HARD),
    _rule(r"cookies are no longer valid", Reason.BAD_COOKIES, Pause.HARD),
)
TEXTS = (
    _rule(r"confirm you'?re not a bot|captcha", Reason.BOT_CHECK, Pause.HARD),
    _rule(r"content isn't available, try again later|rate-limited", Reason.SESSION_LIMIT, Pause.HARD),
    _rule(r"ip is likely being blocked", Reason.BAD_ANSWER, Pause.HARD),
    _rule(
        r"restricted mode|(workspace|network) administrator|google apps account", Reason.RESTRICTED_NETWORK, Pause.SOFT
    ),
    _rule(r"\berror 15\d\b|player configuration error", Reason.FORMATS_HIDDEN, Pause.SOFT, look_again=True),
    _rule(
        r"confirm your age|age-restricted|inappropriate (for|or offensive to) some|suicide or self-harm"
        r"|viewer discretion",
        Reason.AGE_RESTRICTED,
    ),
    _rule(r"join this channel|members[- ]only|available to this channel's members|\bpremium\b", Reason.MEMBERS_ONLY),
    _rule(
        r"requires? (payment|purchase)|must be (purchased|rented)|\brentals?\b|payment to watch"
        r"|\b(buy|rent|purchase)\b.{1,12}\b(buy|rent|purchase|watch)\b",
        Reason.PAYMENT_REQUIRED,
    ),
    _rule(r"drm protected|drm-protected", Reason.DRM),
    _rule(r"private video|video is private", Reason.PRIVATE),
    _rule(
        r"premieres in|premiere will begin|will begin in|begins in|begin shortly|\blive in \d|processing this video"
        r"|^offline\.?$",
        Reason.UPCOMING,
    ),
    _rule(
        r"in your (country|region)|on this country domain|geo[- ]restrict|geo block", Reason.GEO_BLOCKED, elsewhere=True
    ),
    _rule(r"on copyright grounds", Reason.UNAVAILABLE, elsewhere=True),  # maybe in some countries alone
    _rule(r"recording is not available|live stream offline|live event has ended", Reason.LIVE),
    _rule(
        r"has been removed|been terminated|copyright|no longer available|account .{0,40}closed|violat|does not exist"
        r"|removed by the uploader|playlist does not exist|channel does not exist|does not have an? [a-z]+ tab",
        Reason.UNAVAILABLE,
    ),
    _rule(  # only some kinds of player are told this; another may see the video
        r"please sign in|sign in to (view|watch)|not available on this (app|device)|page needs to be reloaded"
        r"|playback on other|playback .{0,40}disabled|latest version of (youtube|the app)|update the youtube app",
        Reason.FORMATS_HIDDEN,
        look_again=True,
    ),
    _rule(r"video (is )?(not available|unavailable)|video isn't available", Reason.UNAVAILABLE, look_again=True),
    _rule(r"invalid url|unsupported url|is not a valid url|truncated id|looks truncated", Reason.BAD_ID),
    _rule(r"incomplete (yt initial )?data|did not get any data|failed to parse json", Reason.BAD_ANSWER, Pause.SOFT),
    _rule(r"does not look like a netscape format|failed to load cookies", Reason.BAD_COOKIES, Pause.HARD),
    _rule(r"no space left|disk quota", Reason.NO_DISK),
    _rule(r"timed out|timeout", Reason.STALLED, Pause.SOFT),
    _rule(
        r"connection (reset|aborted|broken)|content too short|bytes missing|incomplete ?read|more expected"
        r"|giving up after|\bssl\b|\btls\b|handshake|eof occurred|network error has occurred",
        Reason.CONNECTION_RESET,
        Pause.SOFT,
    ),
)
LATE_WARNINGS = (
    _rule(r"failed to parse json", Reason.BAD_ANSWER, Pause.SOFT),
    _rule(r"sabr|missing a url", Reason.FORMATS_HIDDEN, look_again=True),
    _rule(
        r"challenge solving failed|signature solving failed|require a gvs po token",
        Reason.FORMATS_HIDDEN,
        look_again=True,
    ),
    _rule(r"incomplete data", Reason.BAD_ANSWER, Pause.SOFT),
)
LATE_TEXTS = (
    _rule(r"requested format is not available|no video formats found", Reason.FORMATS_HIDDEN, look_again=True),
    _rule(r"failed to extract any player response", Reason.BAD_ANSWER, Pause.SOFT),
)


EXTRACTOR_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What an extractor raises if the site's answers have changed: yt-dlp passes these on unchanged."""

A_PAGE = "a page in place of the file"
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<\?xml|\{\s*\"error\")", re.IGNORECASE)

PROXY_DEAD = "the proxy cannot be reached"
PROXY_PASSWORD = "the proxy refused its user name or password (407)"
_PROXY_STATUS_407 = re.compile(r"\b407\b")


def normalise(text: str) -> str:
    """Normalises to lower case, straight apostrophes, single spaces: the bot message uses U+2019, others U+0027."""
    return re.sub(r"\s+", " ", text.replace("’", "'")).casefold()


def classify(evidence: Evidence) -> Failure:
    """Determines what a failure means, in the order given in the module docstring."""
    text = evidence.text or message_of(evidence.error)
    failure = (
        _by_own_limit(evidence.error)
        or _by_status(evidence.requests, evidence.about)
        or _by_class(evidence.error)
        or _by_text(evidence.warnings, BLOCK_WARNINGS)
        or _by_text([text], TEXTS)
        or _by_text(evidence.warnings, LATE_WARNINGS)
        or _by_text([text], LATE_TEXTS)
        or Failure(Reason.UNKNOWN_ANSWER if _is_the_sites_word(evidence.error) else Reason.EXTRACTOR_ERROR)
    )
    reached = any(seen.status not in (0, 407) for seen in evidence.requests)
    return replace(failure, detail=failure.detail or _one_line(text), reached=reached)


def is_a_page(first: bytes) -> bool:
    """Whether these first bytes of a media file are those of a page or an error: a network's word, not the file's."""
    return _PAGE.match(first.removeprefix(b"\xef\xbb\xbf")) is not None


def refusals(requests: Sequence[SeenRequest]) -> list[SeenRequest]:
    """The 429s among the requests, including those after which yt-dlp only warned and went on (captions excepted)."""
    return [seen for seen in requests if seen.status == 429 and seen.kind != "caption"]


def _is_the_sites_word(error: BaseException | None) -> bool:
    """Whether yt-dlp takes the failure for an answer of the site (`expected`) and no bug is among its causes."""
    links = list(chain(error))
    own = any(isinstance(link, EXTRACTOR_BUGS) for link in links)
    return not own and any(isinstance(link, ExtractorError) and link.expected for link in links)


def _by_own_limit(error: BaseException | None) -> Failure | None:
    for link in chain(error):
        if isinstance(link, DeadlinePassed):
            return Failure(Reason.STALLED, str(link))
    return None


def _by_status(requests: Sequence[SeenRequest], about: str) -> Failure | None:
    """Judges by how the last request of each kind ended, so that failures cured by a retry don't count."""
    last: dict[str, SeenRequest] = {}
    for seen in requests:
        if seen.status == 429 or _is_asked_for(seen, about):
            last[seen.kind] = seen
    for seen in sorted(last.values(), key=lambda seen: _severity(seen), reverse=True):
        if failure := _of_request(seen):
            return failure
    return None


def _is_asked_for(seen: SeenRequest, about: str) -> bool:
    """Whether a request was for the subject itself: scripts, tokens and the home page say nothing about it."""
    if about == "list":
        return seen.kind == "list" and seen.path not in ("", "/")
    return seen.kind == "media" or seen.path == "/watch" or (seen.kind == "player" and seen.path.endswith("/player"))


def _severity(seen: SeenRequest) -> int:
    return 3 if seen.status == 429 else 2 if seen.status >= 400 or seen.error == A_PAGE else 1 if not seen.status else 0


def _of_request(seen: SeenRequest) -> Failure | None:
    where = f"{seen.kind} request to {seen.host}{seen.path}"
    if seen.kind == "caption":  # a refused caption says nothing about the video
        return None
    if seen.status == 429:
        return Failure(Reason.RATE_LIMITED, f"429 for a {where}", Pause.HARD)
    if seen.status >= 500:
        return Failure(Reason.SERVER_ERROR, f"{seen.status} for a {where}", Pause.SOFT)
    if seen.kind == "media" and seen.status in (401, 403, 404, 410):
        return Failure(Reason.MEDIA_FORBIDDEN, f"{seen.status} for a {where}", Pause.SOFT)
    if seen.status in (401, 403):
        return Failure(Reason.FORBIDDEN, f"{seen.status} for a {where}", Pause.SOFT)
    if seen.status == 407:
        return Failure(Reason.PROXY_REFUSED, PROXY_PASSWORD, Pause.HARD)
    if seen.status == 416:
        return Failure(Reason.BAD_ANSWER, f"416 for a {where}")
    if seen.status == 400:
        return Failure(Reason.BAD_ANSWER, f"400 for a {where}", Pause.SOFT)
    if seen.status == 404 and seen.kind == "list":
        return Failure(Reason.UNAVAILABLE, f"404 for a {where}")
    if seen.error == A_PAGE:
        return Failure(Reason.BAD_ANSWER, f"{A_PAGE}, for a {where}", Pause.SOFT)
    if seen.error == PROXY_PASSWORD:
        return Failure(Reason.PROXY_REFUSED, PROXY_PASSWORD, Pause.HARD)
    if seen.error == PROXY_DEAD:
        return Failure(Reason.PROXY_REFUSED, PROXY_DEAD, Pause.SOFT)
    if seen.status == 0 and seen.error:
        reason = Reason.STALLED if "timeout" in seen.error.casefold() else Reason.CONNECTION_RESET
        return Failure(reason, f"{seen.error} for a {where}", Pause.SOFT)
    return None


def _by_class(error: BaseException | None) -> Failure | None:
    for link in chain(error):
        if isinstance(link, GeoRestrictedError):
            countries = tuple(link.countries or ())
            said = ", ".join(countries) or "not said"
            return Failure(Reason.GEO_BLOCKED, f"available in: {said}", elsewhere=True, countries=countries)
        if isinstance(link, ForeignAddress):
            return Failure(Reason.BAD_ANSWER, str(link))
        if isinstance(link, CookieLoadError):
            return Failure(Reason.BAD_COOKIES, pause=Pause.HARD)
        if isinstance(link, UnsupportedError):
            return Failure(Reason.BAD_ID)
        if isinstance(link, PostProcessingError):
            return Failure(Reason.BROKEN_MEDIA)
        if isinstance(link, ContentTooShortError):
            return Failure(Reason.CONNECTION_RESET, pause=Pause.SOFT)
        if isinstance(link, ProxyError):
            if _PROXY_STATUS_407.search(str(link)):
                return Failure(Reason.PROXY_REFUSED, PROXY_PASSWORD, Pause.HARD)
            return Failure(Reason.PROXY_REFUSED, PROXY_DEAD, Pause.SOFT)
        if isinstance(link, TransportError | RequestError) and not isinstance(link, HTTPError):
            return Failure(_network_reason(link), pause=Pause.SOFT)
        if isinstance(link, OSError) and link.errno in (28, 122):  # ENOSPC, EDQUOT
            return Failure(Reason.NO_DISK)
    return None


def _network_reason(error: BaseException) -> Reason:
    return Reason.STALLED if "timed out" in normalise(str(error)) else Reason.CONNECTION_RESET


def _by_text(texts: Sequence[str], rules: Sequence[_TextRule]) -> Failure | None:
    plain = [normalise(text) for text in texts]
    for rule in rules:
        for original, text in zip(texts, plain, strict=True):
            if rule.pattern.search(text):
                found = Failure(rule.reason, _one_line(original), rule.pause, rule.look_again, rule.elsewhere)
                is_upcoming = rule.reason is Reason.UPCOMING
                return replace(found, wait_s=_seconds_until(text), at_once=False) if is_upcoming else found
    return None


_UNTIL = re.compile(r"\bin (\d+|an?) (minute|hour|day|week|month)")
_UNITS_S = {"minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}


def _seconds_until(text: str) -> float:
    """When a premiere begins ("premieres in 10 hours"), from now; 0 if the text does not say."""
    if not (said := _UNTIL.search(text)):
        return 0.0
    return float(said[1] if said[1].isdecimal() else 1) * _UNITS_S[said[2]]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and all its causes: yt-dlp hides them in `exc_info` and `cause`."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if isinstance(link, DownloadError):
            waiting.append(link.exc_info[1] if link.exc_info else None)
            waiting.append(link.__context__)  # `exc_info` lacks an ExtractorError that was raised for another error
        if isinstance(link, ExtractorError):
            waiting.append(link.cause if isinstance(link.cause, BaseException) else None)
            waiting.append(link.exc_info[1] if link.exc_info else None)
        waiting.append(link.__cause__)


def message_of(error: BaseException | None) -> str:
    """The message of an exception without yt-dlp's `ERROR: [youtube] ID:` and without terminal colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error) if error is not None else "")
    text = re.sub(r"\s*Use --[a-z].*", "", text, flags=re.DOTALL)  # hints for the command line, which is not used here
    return re.sub(r"^(ERROR:\s*)?(\[[^\]]+\]\s*)?([\w-]{11}:\s*)?", "", text)


def signature(failure: Failure) -> str:
    """What failures of different videos have in common: the message without ids and numbers."""
    return re.sub(r"[\w-]{11}(?=[:\s]|$)|\d+", "#", normalise(failure.detail))[:200]


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", message_of(Exception(text))).strip()[:400]

"""The loop through which everything asks the site: whose turn it is, whom a failure is charged to, when to retry.

    listing, extract, fetch  ─►  Asking.ask(subject, attempt)  ─►  the attempt's result, or the last Failure

An attempt is an identity's work on a subject (a video, a list), from the first request to the last.

| an attempt ends with | it is charged to | then |
|---|---|---|
| a result | nothing: the identity got an answer | it is returned |
| IdentityPaused, raised by a request | nothing | the next identity tries |
| a failure with a hard pause | the identity, which is paused | another tries, `REFUSALS_OF_ONE_SUBJECT` times at most |
| a bot check, if another identity got a check too and both succeed with others | the subject | it is returned |
| blocked in this country, or on copyright grounds | nothing | an identity in another country tries, if any |
| a failure that other clients may avoid | nothing, once | the same identity tries as the second clients |
| another failure | the subject | tried again up to `Rules.tries` times if that may help |
| cookies that no longer log in | the identity, which is paused | another tries; StopRun if none is left |
| another reason of class `stop` | the run | StopRun |
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils import YoutubeDLError

from manifests.errors import FULL
from manifests.reasons import Reason, ReasonClass
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.config.media import CutConfig
from pipeline.engine.work.unit import StopRun
from pipeline.site.canary import SAID
from pipeline.site.failures import AfterRefusal, DeadlinePassed, Failure, Pause, classify, refusals, signature
from pipeline.site.formats import choose_format
from pipeline.site.judge import Ruling
from pipeline.site.kept_sessions import forget_sites, site_for
from pipeline.site.politeness import Polite
from pipeline.site.redact import redact, secrets_of
from pipeline.site.tracks import list_tracks
from pipeline.site.ytdlp import IdentityPaused, Session, extract_video

log = logging.getLogger("hdvila")

T = TypeVar("T")

SECOND_CLIENTS = ("web_embedded", "tv")
"""yt-dlp's player_client list for a second attempt at videos that the first reports as `not available`."""
REFUSALS_OF_ONE_SUBJECT = 6
"""A subject refused this many times, whoever asks, is deferred: it would keep all identities paused."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How long and how often a kind of work asks.

    `limit_s`: wall-clock limit of an attempt, not counting waits for tokens. `patience_s`: how long it may wait while
    every identity is paused. `heals`: reasons of class `never` that another attempt may change.
    """

    limit_s: float
    tries: int
    patience_s: float
    heals: frozenset[Reason] = frozenset()
    about: str = "video"  # what is asked for: or "media", "list", "canary"
    captions: bool = False  # whether captions are requested too


@dataclass(frozen=True, slots=True)
class Turn:
    """One attempt: the identity that asks, its player clients (none: the configured ones), and its requests' record."""

    identity: IdentityConfig
    clients: tuple[str, ...]
    session: Session


class NobodyMayAsk(Exception):
    """Every identity is paused for longer than the work may wait; the first is active again after `paused_s`."""

    def __init__(self, paused_s: float) -> None:
        super().__init__(f"all identities are paused, the first for another {paused_s:.0f} s")
        self.paused_s = paused_s


@dataclass(slots=True)
class Asking:
    """See the module docstring. `prefer` is the identity that asked last: it keeps its session while it may ask."""

    config: CrawlConfig
    polite: Polite
    prefer: str = ""
    _said: dict[str, tuple[str, int]] = field(default_factory=dict)
    """{subject: the identity that was only told something of it, and how many videos it had been shown by then}"""

    def ask(self, subject: str, attempt: Callable[[Turn], T | Failure], rules: Rules) -> T | Failure:
        """Returns the result of an attempt, or the failure that the subject is rejected with.

        `attempt` may raise yt-dlp's errors: they are classified here. Raises NobodyMayAsk and StopRun.
        """
        n_tries = n_refusals = 0
        avoid = ""
        clients: tuple[str, ...] = ()
        among: tuple[str, ...] = ()
        tried: set[str] = set()  # countries
        while True:
            lease = self.polite.lease(rules.patience_s, self.prefer, avoid, among, rules.captions)
            if not lease.identity:
                raise NobodyMayAsk(lease.paused_s)
            self.prefer = lease.identity
            if lease.canary and not self._passes_canary(lease.canaries, lease.in_doubt, rules):
                continue
            result = self._attempt(subject, attempt, clients, rules)
            if result is None:
                continue
            if not isinstance(result, Failure):
                self._said.pop(subject, None)
                return result
            is_charged = self._charge(subject, result, rules.about)
            avoid = lease.identity if result.pause is not Pause.NONE else ""
            if result.pause is Pause.HARD:
                n_refusals += result.reason is not Reason.BAD_COOKIES
                if is_charged or n_refusals >= REFUSALS_OF_ONE_SUBJECT:
                    return result
                continue
            if result.elsewhere and (among := self._where_else(result, lease.identity, tried)):
                continue
            n_tries += 1  # a second try with other clients is an extraction too
            if result.look_again and clients != SECOND_CLIENTS:
                clients = SECOND_CLIENTS
                continue
            may_heal = (result.reason.class_ is ReasonClass.LATER and result.at_once) or result.reason in rules.heals
            if not may_heal or n_tries >= rules.tries:
                return result
            time.sleep(self.config.retry_wait_s * 2 ** (n_tries - 1))

    def go_on(self, subject: str, attempt: Callable[[Turn], T | Failure], rules: Rules, identity: str) -> T | None:
        """The result of an attempt that continues what an identity has asked before, and so takes no lease; None if it
        fails: then `ask` begins anew. Raises StopRun.
        """
        self.prefer = identity
        result = self._attempt(subject, attempt, (), rules)
        if not isinstance(result, Failure):
            return result
        if result.pause is Pause.HARD:
            self._charge(subject, result, rules.about)
        return None

    def unbelieved(self, rules: Rules) -> set[str]:
        """The subjects asked for since the last call whose verdicts are not to be recorded.

        What an identity is only told of a video is believed once it has been shown another one since: to an identity
        that is blocked, every video may be said to be gone. Where it was shown none, it looks at a canary.
        """
        said, self._said = self._said, {}
        lying = set()
        for name in sorted({name for name, _ in said.values()}):
            standing = self.polite.standing(name)
            left = {subject for subject, heard in said.items() if heard == (name, standing.n_shown)}
            self.prefer = name
            if left and not self._passes_canary(standing.canaries, standing.in_doubt, rules):
                lying |= left
        return lying

    def _passes_canary(self, canaries: Sequence[str], in_doubt: bool, rules: Rules) -> bool:
        """Whether `self.prefer` is shown a video that is known to be there; an identity that is not is paused.

        The operator's own comes first; if that has been removed, the crawl's own are looked at.
        """
        own, missed = self.config.canary, list[str]()
        failed: Failure | None = None
        for video_id in dict.fromkeys((own, *canaries) if own else canaries):
            look = partial(self._look_at_canary, video_id)
            result = self._attempt(video_id, look, (), replace(rules, about="canary"))
            if result is None:
                return False
            if not isinstance(result, Failure):
                self.polite.looked(self.prefer, None, tuple(missed))
                return True
            if result.pause is not Pause.NONE:
                self._charge(video_id, result, "canary")
                return False
            missed.append(video_id)
            failed = Failure(result.reason, f"the canary {video_id}: {result.detail}", Pause.HARD)
            if video_id == own and result.reason.class_ is not ReasonClass.NEVER:
                break
        is_own_gone = failed is not None and missed == [own] and failed.reason.class_ is ReasonClass.NEVER
        if (failed is None or is_own_gone) and not in_doubt:
            return True  # nothing is known that it misses
        failed = failed or Failure(Reason.UNKNOWN_ANSWER, "every video is said to be gone, and no canary is known")
        log.warning("identity %s is not believed: %s", self.prefer, self.safe(failed.detail))
        ruling = self.polite.looked(self.prefer, failed, tuple(missed))
        self._stop_if_told(ruling, None)
        self._obey(ruling, failed)
        return False

    def _look_at_canary(self, video_id: str, turn: Turn) -> list[str] | Failure:
        """A look at a canary; a Failure without a pause if it lacks what it had."""
        info = extract_video(site_for(self.config, turn.identity, turn.clients, turn.session), video_id)
        lacking = lacking_of(info, self.config)
        if video_id != self.config.canary:
            lacking = [what for what in lacking if what != "captions"]  # it may never have had any
        return Failure(Reason.FORMATS_HIDDEN, f"no {', '.join(lacking)}") if lacking else lacking

    def _where_else(self, blocked: Failure, identity: str, tried: set[str]) -> tuple[str, ...]:
        """Identities in countries not tried yet where the site says, or does not deny, that it is available."""
        countries = {each.name: each.country for each in self.config.pool()}
        tried.add(countries[identity])
        return tuple(
            name
            for name, country in countries.items()
            if country and country not in tried and country in (blocked.countries or (country,))
        )

    def safe(self, text: str) -> str:
        """Removes secrets from a text."""
        return redact(text, secrets_of(self.config))

    def _attempt(
        self, subject: str, attempt: Callable[[Turn], T | Failure], clients: tuple[str, ...], rules: Rules
    ) -> T | Failure | None:
        """The result of an attempt as `self.prefer`; None if that identity was paused meanwhile."""
        name = self.prefer
        deadline = time.monotonic() + rules.limit_s
        session = Session(lambda host, kind: self.polite.take(name, host, kind), deadline, rules.about)
        identity = next(identity for identity in self.config.pool() if identity.name == name)
        try:
            result = attempt(Turn(identity, clients, session))
        except IdentityPaused:
            return None
        except (YoutubeDLError, RequestError, DeadlinePassed, AfterRefusal) as error:
            return classify(session.evidence(error))
        except StopRun as stop:
            if stop.reason is not Reason.BAD_COOKIES:
                raise
            return Failure(stop.reason, stop.detail, Pause.HARD)  # this identity's: the others go on
        except OSError as error:
            if error.errno not in FULL:
                raise  # a local error, not the subject's fault
            return Failure(Reason.NO_DISK, str(error))
        if not isinstance(result, Failure):
            warned = self._warning(session)
            self._obey(self.polite.report(name, subject, warned, "", rules.about), warned)
        return result

    def _warning(self, session: Session) -> Failure | None:
        """A refusal that did not cost the attempt its result; the identity is charged for it all the same."""
        if refusals(session.requests):
            return classify(session.evidence())
        if session.refused:  # for captions, but another track had come before
            return Failure(Reason.CAPTIONS_REFUSED, "429", Pause.CAPTIONS)
        return None

    def _charge(self, subject: str, failure: Failure, about: str) -> bool:
        """Reports a failure; returns whether the subject is charged for it, and not the identity."""
        ruling = self.polite.report(self.prefer, subject, failure, signature(failure), about)
        if failure.reason in SAID and failure.reason.class_ is ReasonClass.NEVER and about in ("video", "media"):
            self._said[subject] = self.prefer, ruling.n_shown
        self._stop_if_told(ruling, failure)
        self._obey(ruling, failure)
        return ruling.charged

    def _stop_if_told(self, ruling: Ruling, failure: Failure | None) -> None:
        if ruling.stop:
            raise StopRun(ruling.stop, self.safe(ruling.detail))
        if failure is not None and failure.reason.class_ is ReasonClass.STOP and failure.pause is Pause.NONE:
            raise StopRun(failure.reason, self.safe(failure.detail))

    def _obey(self, ruling: Ruling, failure: Failure | None) -> None:
        if ruling.paused_s and failure is not None:
            forget_sites(self.prefer)
            what = "captions of identity" if failure.pause is Pause.CAPTIONS else "identity"
            log.warning("%s %s paused for %.0f s (%s)", what, self.prefer, ruling.paused_s, failure.reason.value)


def lacking_of(info: Mapping[str, Any], config: CrawlConfig) -> list[str]:
    """Which of 720p, captions and category the extracted canary lacks; [] if none.

    The canary is a video known to have everything: what it lacks now, the site withholds from the identity that asks.
    """
    has = {
        "720p": choose_format(info.get("formats") or (), config.media, CutConfig()).reason is None,
        "captions": bool(list_tracks(info.get("subtitles"), info.get("automatic_captions"))),
        "category": bool(info.get("categories")),
    }
    return [name for name, there in has.items() if not there]

"""What the end of an attempt means: whether the identity is paused, the subject is to blame, or the run ends.

A breaker opens at once for a bot check, a session limit or a 429, and after several soft refusals of different videos
in a row. Its pauses grow. Captions have their own breaker.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from manifests.reasons import Reason
from pipeline.site.canary import SAID, is_shown
from pipeline.site.failures import Failure, Pause
from pipeline.site.identities import Identity

SOFT_REFUSALS = 5
"""Server errors, resets or 403s in a row, on as many videos, that pause an identity."""
SAME_FAILURE_STOPS = 5
"""If the extractor fails in the same way at this many different videos in a row, yt-dlp is too old."""

NO_NETWORK_STOPS = 2
"""An identity that loses this many attempts before its first answer cannot reach the site: its proxy is dead."""

DEAD_PROXY_STOPS = 5
"""An identity that had answers, and then finds its proxy unreachable this many times in a row, has lost it."""

CAPTION_REFUSALS = 2
"""An identity's captions are paused once those of this many videos in a row are refused: a single bad track is not
enough.
"""

CHARGING_IDENTITIES = 2
"""A subject for which this many identities get a bot check, each while succeeding with others, is itself to blame."""


NO_ANSWER = frozenset({Reason.STALLED, Reason.NO_DISK})
"""Failures that say nothing about the site's attitude: our own time limit, our disk."""

OF_THE_IDENTITY = frozenset({Reason.PROXY_REFUSED, Reason.BAD_COOKIES})
"""What is wrong with an identity until a person mends it, if it is paused for it at once."""


CURE = "ask from other addresses, or set crawl.canary to a video that is there"


@dataclass(frozen=True, slots=True)
class Ruling:
    """The consequence of a report. `charged`: the subject is to blame, not the identity. `stop`: why the run ends.

    `n_shown`: the videos that the identity has been shown so far.
    """

    paused_s: float = 0.0
    charged: bool = False
    stop: Reason | None = None
    detail: str = ""
    n_shown: int = 0


class Judge:
    """Judges reports; the caller holds the lock. `stretch` draws by how much a pause is lengthened."""

    def __init__(
        self,
        identities: Mapping[str, Identity],
        pauses_s: tuple[float, ...],
        clock: Callable[[], float],
        stretch: Callable[[], float],
    ) -> None:
        self._identities, self._pauses_s, self._clock, self._stretch = identities, pauses_s, clock, stretch
        self._same: dict[str, set[str]] = {}
        self._bot_checks: dict[str, dict[str, bool]] = {}  # subject → identity → whether it succeeded with others

    def judge(self, asked: Identity, subject: str, failure: Failure | None, signature: str, about: str) -> Ruling:
        """`about`: "video", "media", "list" or "canary"."""
        if failure is None or failure.pause is Pause.NONE:
            if about in ("video", "media"):
                if is_shown(failure):
                    asked.is_shown_a_video()
                elif failure is not None and failure.reason in SAID and self._is_doubted(asked, subject):
                    return Ruling()
            return self._judge_answer(asked, subject, failure, signature)
        if failure.pause is Pause.CAPTIONS:
            return self._judge_captions(asked, subject)
        asked.n_refusals += 1
        if stop := self._judge_net(asked, failure):
            return stop
        if self._is_charged(asked, subject, failure):
            return Ruling(charged=True)
        asked.soft[subject] = failure.reason.value
        asked.serves_others = False
        few = len(asked.soft) < SOFT_REFUSALS
        if failure.pause is Pause.SOFT and few and not asked.breaker.level and not asked.dead:
            return Ruling()
        return Ruling(paused_s=self._pause(asked, subject, failure))

    def _judge_answer(self, asked: Identity, subject: str, failure: Failure | None, signature: str) -> Ruling:
        if failure is not None and failure.reason is Reason.EXTRACTOR_ERROR:
            return self._judge_extractor(subject, failure, signature)
        if failure is not None and failure.reason in NO_ANSWER:
            return Ruling()
        asked.n_answers += 1
        asked.n_rejects += failure is not None
        asked.serves_others = True
        asked.dead, asked.n_lost, asked.probe_until = "", 0, 0.0
        asked.breaker.close()
        asked.soft.clear()
        self._same.clear()
        if failure is None:
            asked.captions.close()
            asked.refused_captions.clear()
            self._bot_checks.pop(subject, None)
        return Ruling()

    def _is_doubted(self, asked: Identity, subject: str) -> bool:
        """Whether what an identity is only told of a video is no answer: it looks at a canary first."""
        asked.heard.add(subject)
        is_old = asked.breaker.paused_until > self._clock()  # in flight when the pause began: nothing new
        if asked.is_in_doubt and not is_old:
            asked.canary_at, asked.probe_until = -math.inf, 0.0
        return asked.is_in_doubt

    def looked(self, asked: Identity, failed: Failure | None) -> Ruling:
        """What a look at the canaries means; `failed`: how the identity missed them, None if it was shown one.

        It is paused, and looks again before it asks for anything else; but if it was told that they are gone for good,
        another video may be shown. If all have missed them after the longest pause, the run ends.
        """
        asked.probe_until = 0.0
        if failed is None:
            asked.is_shown_a_video()
            return Ruling()
        may_be_gone = failed.pause is Pause.NONE or failed.reason in SAID
        asked.canary_at = self._clock() if may_be_gone else -math.inf
        asked.missed_canary, asked.serves_others = True, False
        asked.n_refusals += 1
        if asked.breaker.level >= len(self._pauses_s):
            asked.blocked = failed.detail
        if all(identity.blocked for identity in self._identities.values()):
            each = "; ".join(f"identity {identity.name}: {identity.blocked}" for identity in self._identities.values())
            return Ruling(stop=Reason.UNKNOWN_BLOCK, detail=f"nobody is shown a video that is there: {each}; {CURE}")
        return Ruling(paused_s=self._pause(asked, "", failed, "canary"))

    def _judge_extractor(self, subject: str, failure: Failure, signature: str) -> Ruling:
        """Stops the run if the extractor fails alike at several videos in a row: it no longer understands the site."""
        subjects = self._same.setdefault(signature, set())
        subjects.add(subject)
        if len(subjects) < SAME_FAILURE_STOPS:
            return Ruling()
        cure = "upgrade it (pip install -U 'yt-dlp[default,deno]') and run again"
        detail = f"{len(subjects)} videos in a row fail with: {failure.detail}; {cure}"
        return Ruling(stop=Reason.YT_DLP_TOO_OLD, detail=detail)

    def _judge_captions(self, asked: Identity, subject: str) -> Ruling:
        """Only captions were refused: pauses this identity's captions once several tracks were refused."""
        asked.n_refusals += 1
        asked.breaker.close()  # page and player answered
        asked.probe_until = 0.0
        asked.soft.clear()
        asked.refused_captions.add(subject)
        if len(asked.refused_captions) < CAPTION_REFUSALS:
            return Ruling()
        asked.refused_captions.clear()
        paused_s = asked.captions.open(self._clock(), self._pauses_s, 0.0, self._stretch(), "captions_refused")
        return Ruling(paused_s=paused_s)

    def _judge_net(self, asked: Identity, failure: Failure) -> Ruling | None:
        """Marks an identity that cannot reach the site, or its account; if none can, ends the run and names each."""
        is_proxy = failure.reason is Reason.PROXY_REFUSED
        if failure.reason in OF_THE_IDENTITY and failure.pause is Pause.HARD:
            asked.dead = failure.detail or failure.reason.meaning
        elif failure.reached:
            asked.n_lost = 0
            return None
        elif is_proxy or (failure.reason in (Reason.CONNECTION_RESET, Reason.STALLED) and not asked.n_answers):
            asked.n_lost += 1
            most = DEAD_PROXY_STOPS if asked.n_answers else NO_NETWORK_STOPS
            asked.dead = failure.detail if asked.n_lost >= most else asked.dead
        able = [*self._identities.values()]
        if not asked.dead or not all(identity.dead for identity in able):
            return None
        each = "; ".join(f"identity {identity.name}: {identity.dead}" for identity in able)
        cure = "check the network, the proxies and the cookies of crawl.identities (hdvila-pipeline doctor)"
        stop = failure.reason if failure.reason is Reason.BAD_COOKIES else Reason.NO_NETWORK
        return Ruling(stop=stop, detail=f"no answer at all: {each}; {cure}")

    def _is_charged(self, asked: Identity, subject: str, failure: Failure) -> bool:
        """Whether a bot check is the subject's fault. If so, identities that were paused for it may try again with a
        probe.
        """
        if failure.reason is not Reason.BOT_CHECK:
            return False
        served = self._bot_checks.setdefault(subject, {})
        served[asked.name] = served.get(asked.name, False) or asked.serves_others
        if sum(served.values()) < CHARGING_IDENTITIES:
            return False
        del self._bot_checks[subject]
        for identity in self._identities.values():
            if identity.paused_for == subject:
                identity.breaker.paused_until = min(identity.breaker.paused_until, self._clock())
        return True

    def _pause(self, asked: Identity, subject: str, failure: Failure, why: str = "") -> float:
        pauses_s = self._pauses_s
        least_s = pauses_s[min(1, len(pauses_s) - 1)] if failure.reason is Reason.SESSION_LIMIT else 0.0
        is_said = failure.reason in OF_THE_IDENTITY and failure.pause is Pause.HARD
        why = why or ("unreachable" if asked.dead and not is_said else failure.reason.value)
        asked.paused_for, asked.probe_until = subject, 0.0
        return asked.breaker.open(self._clock(), pauses_s, least_s, self._stretch(), why)

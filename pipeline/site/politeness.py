"""How often the site may be asked, by which identity, and when to stop asking: one object for the whole cluster.

In one process it is a plain object; on Ray it lives in an async named actor, so that a waiting unit holds no CPU slot.

    lease       which identity asks next: it is not paused and has not used up its hour
    take        a token for a request, from the bucket of its identity and kind; or: this identity is paused now
    report      how an attempt went: an answer closes the breaker, a refusal may open it
    looked      whether an identity was shown a canary (pipeline.site.canary), and so is to be believed
    fresh_look  what the look at a video found of its media: fetching that takes no lease

Each identity has its own buckets. They start and restart empty, not full: an actor that dies and comes back must not
let a burst through.
pipeline.site.judge says what a report means. After a pause one video is let through as a probe, and the others wait for
its answer.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from manifests.errors import is_passing, storage_errors
from pipeline.config.crawl import CrawlConfig, PolitenessConfig
from pipeline.engine.store.store import Store
from pipeline.site.api_quota import ApiQuota
from pipeline.site.buckets import Bucket, empty_bucket
from pipeline.site.canary import Canaries
from pipeline.site.failures import Failure
from pipeline.site.fresh_looks import FreshLook, FreshLooks
from pipeline.site.identities import Identity, PolitenessState
from pipeline.site.judge import Judge, Ruling
from pipeline.site.pauses import STATE_FILE, read_state
from pipeline.site.rates import pace_of

POLL_S = 0.25
CANARY_EVERY_S = 3600.0
"""Between an identity's looks at a canary; the first is at the start of a run."""
JITTER = 0.3
"""Each gap between requests, and each pause, is lengthened at random by up to this share: people are not punctual."""
PROBE_S = 60.0
"""How long a probe's answer is waited for before another video may be one; the first pause, if that is shorter."""

SAVE_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to ask for a video as an identity. `paused_s` > 0: no identity may ask for that long.

    `canary`: the identity is due for a look at a canary, of which the crawl itself knows these. `in_doubt`: it has been
    told of several videos in a row that they cannot be had.
    """

    identity: str
    paused_s: float = 0.0
    canary: bool = False
    canaries: tuple[str, ...] = ()
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an identity is to be believed: the videos that it was shown so far, and as in Lease."""

    n_shown: int
    canaries: tuple[str, ...]
    in_doubt: bool


class Polite(Protocol):
    """What stages see: the same calls whether the object is local or in an actor; they block until they return."""

    def lease(
        self, patience_s: float, prefer: str = "", avoid: str = "", among: tuple[str, ...] = (), captions: bool = ...
    ) -> Lease: ...

    def take(self, identity: str, host: str, kind: str) -> float: ...

    def report(
        self, identity: str, subject: str, failure: Failure | None, signature: str = "", about: str = ...
    ) -> Ruling: ...

    def looked(self, identity: str, failed: Failure | None, missed: tuple[str, ...]) -> Ruling: ...

    def standing(self, identity: str) -> Standing: ...

    def keep_look(self, video_id: str, look: FreshLook) -> None: ...

    def fresh_look(self, video_id: str) -> FreshLook | None: ...

    def api_turn(self) -> float: ...

    def api_report(self, refused: str) -> float: ...

    def snapshot(self) -> PolitenessState: ...


class Politeness:
    """See the module docstring. Thread-safe; its async methods never hold the lock while they wait."""

    def __init__(
        self,
        config: PolitenessConfig,
        identities: dict[str, float],
        *,
        store: Store | None = None,
        dice: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`identities` maps names to videos an hour; `store` keeps the pauses across restarts; `dice` draws the jitter.

        If the store does not answer, its patience is used here, so that no pause is forgotten, and later not at all.
        """
        self._config, self._clock, self._wall_clock, self._store = config, clock, wall_clock, store
        self._dice = dice or random.Random(0)
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._born = self._saved_at = clock()
        self._identities = {
            name: Identity(name, empty_bucket(per_hour / 3600, JITTER, self._born, self._dice))
            for name, per_hour in identities.items()
        }
        self._quota = ApiQuota()
        self._judge = Judge(self._identities, config.pauses_s, clock, self._stretch)
        self._canaries = Canaries()
        self._looks = FreshLooks()
        self._pace = pace_of(config, identities)
        self._remember_pauses()
        self._store = replace(store, patience_s=0.0) if store else None

    async def lease(
        self, patience_s: float, prefer: str = "", avoid: str = "", among: tuple[str, ...] = (), captions: bool = False
    ) -> Lease:
        """Waits until an identity may ask and returns it for the next attempt; waits at most `patience_s` while all are
        paused.

        `among`: only these may be chosen (empty: all). `captions`: identities whose captions are paused are left out.
        """
        waited_s = 0.0
        while True:
            with self._lock:
                name, wait_s, all_paused = self._choose(self._clock(), prefer, avoid, among, captions)
                is_due = bool(name) and self._is_canary_due(self._identities[name])
                is_in_doubt = bool(name) and self._identities[name].is_in_doubt
            if name:
                await asyncio.sleep(wait_s)
                return Lease(name, canary=is_due, canaries=self._canaries.known(), in_doubt=is_in_doubt)
            if all_paused and waited_s >= patience_s:
                return Lease("", paused_s=min(wait_s, self._config.pauses_s[-1]))
            pause_s = max(0.001, min(POLL_S, wait_s, max(patience_s - waited_s, 0.001) if all_paused else POLL_S))
            await asyncio.sleep(pause_s)
            waited_s += pause_s if all_paused else 0.0

    def _is_canary_due(self, identity: Identity) -> bool:
        now = self._clock()
        if now - identity.canary_at < CANARY_EVERY_S:
            return False
        identity.canary_at = now
        return True

    def _choose(
        self, now: float, prefer: str, avoid: str, among: tuple[str, ...], captions: bool
    ) -> tuple[str, float, bool]:
        """(identity, seconds until its token) or ("", seconds until one may be free, whether all are paused)."""
        able = [i for i in self._identities.values() if not among or i.name in among] or [*self._identities.values()]
        free = [identity for identity in able if identity.free_at(captions) <= now]
        if not free:
            return "", min(identity.free_at(captions) for identity in able) - now, True
        chosen = min(free, key=partial(_order, now=now, prefer=prefer, avoid=avoid))
        if (wait_s := chosen.bucket.wait_s(now)) > POLL_S:  # wait without reserving: it may be paused by then
            return "", wait_s, False
        if chosen.breaker.level or chosen.is_in_doubt:
            chosen.probe_until = now + min(PROBE_S, self._config.pauses_s[0])
        chosen.n_leases += 1
        return chosen.name, chosen.bucket.reserve(now), False

    async def take(self, identity: str, host: str, kind: str) -> float:
        """Waits for a token; returns 0.0 when the request may go, else the seconds this identity is paused for."""
        asks = self._identities[identity]
        with self._lock:
            now = self._clock()
            if asks.breaker.paused_until > now:
                return asks.breaker.paused_until - now
            wait_s = self._bucket((identity, host, kind)).reserve(now)
            asks.requests[kind] += 1
        await asyncio.sleep(wait_s)
        with self._lock:
            return max(0.0, asks.breaker.paused_until - self._clock())

    def _bucket(self, key: tuple[str, str, str]) -> Bucket:
        if key not in self._buckets:
            per_second = self._config.identity_requests_per_minute[key[2]] / 60
            self._buckets[key] = empty_bucket(per_second, JITTER, self._born, self._dice)
        return self._buckets[key]

    async def report(
        self, identity: str, subject: str, failure: Failure | None, signature: str = "", about: str = "video"
    ) -> Ruling:
        """Takes the outcome of an attempt. None, or a failure without a pause, counts as an answer and closes the
        breaker.
        """
        with self._lock:
            asked = self._identities[identity]
            if about == "video" and failure is None:
                self._canaries.learn(subject)
            ruling = self._judge.judge(asked, subject, failure, signature, about)
            ruling = replace(ruling, n_shown=asked.n_shown)
            is_due = self._clock() - self._saved_at > SAVE_EVERY_S
            if is_due or ruling.paused_s:
                self._saved_at = self._clock()
        if is_due or ruling.paused_s:
            await asyncio.to_thread(self._if_the_store_answers, self._save)
        return ruling

    async def looked(self, identity: str, failed: Failure | None, missed: tuple[str, ...]) -> Ruling:
        """Takes the outcome of a look at canaries: how the identity failed, and those that it was not shown."""
        with self._lock:
            self._canaries.miss(missed)
            ruling = self._judge.looked(self._identities[identity], failed)
        if ruling.paused_s:
            await asyncio.to_thread(self._if_the_store_answers, self._save)
        return ruling

    def standing(self, identity: str) -> Standing:
        """Whether an identity is to be believed."""
        with self._lock:
            asked = self._identities[identity]
            return Standing(asked.n_shown, self._canaries.known(), asked.is_in_doubt)

    def keep_look(self, video_id: str, look: FreshLook) -> None:
        """Keeps what a look found of a video's media."""
        with self._lock:
            self._looks.keep(video_id, look, self._wall_clock())

    def fresh_look(self, video_id: str) -> FreshLook | None:
        """What the last look found of a video's media, if it can be fetched as the identity that asked; given once."""
        with self._lock:
            look = self._looks.take(video_id, self._wall_clock())
            return look if look and self._identities[look.identity].free_at(False) <= self._clock() else None

    async def api_turn(self) -> float:
        """Counts a unit of the Data API and returns 0.0; or, if it is paused, the seconds left."""
        with self._lock:
            return self._quota.take(self._wall_clock())

    async def api_report(self, refused: str) -> float:
        """Takes how a request to the Data API went, "" for an answer; the seconds of a pause that begins now."""
        with self._lock:
            paused_s = self._quota.report(self._wall_clock(), refused)
        if paused_s:
            await asyncio.to_thread(self._if_the_store_answers, self._save)
        return paused_s

    def _stretch(self) -> float:
        return 1 + JITTER * self._dice.random()

    def snapshot(self) -> PolitenessState:
        """The state for people: each identity with its pauses, requests by kind, their outcome, its next token."""
        with self._lock:
            return self._snapshot()

    def _snapshot(self) -> PolitenessState:
        now, wall = self._clock(), self._wall_clock()
        requests = sum((identity.requests for identity in self._identities.values()), Counter())
        return {
            "at": wall,
            "requests": dict(sorted(requests.items())),
            "videos_per_hour": round(self._pace.videos_per_hour, 1),
            "binds": self._pace.binds,
            "canaries": [*self._canaries.known()],
            "identities": [identity.facts(now) for identity in self._identities.values()],
            **({"data_api": quota} if (quota := self._quota.facts(wall)) else {}),
        }

    def _if_the_store_answers(self, work: Callable[[], None]) -> None:
        """Does what can be done as well a little later: no video may fail because of it."""
        try:
            work()
        except storage_errors() as error:
            if self._store is None or self._store.is_local or not is_passing(error):
                raise

    def _save(self) -> None:
        if self._store is None:
            return
        with self._lock:
            state = self._snapshot()
        self._store.write_json(STATE_FILE, state)

    def _remember_pauses(self) -> None:
        """Resumes pauses that were running when the last run ended: a restart must not circumvent a block."""
        state = read_state(self._store, self._wall_clock()) if self._store else PolitenessState()
        for saved in state.get("identities", []):
            if identity := self._identities.get(saved["name"]):
                identity.go_on_pausing(saved, self._clock())
        self._canaries.go_on(state.get("canaries", ()))
        self._quota.go_on(state.get("data_api", {}))


def _order(identity: Identity, now: float, prefer: str, avoid: str) -> tuple[object, ...]:
    """The preferred one first, whose session goes on; one that nobody uses as well, rather than that work waits."""
    is_preferred, bucket = identity.name == prefer, identity.bucket
    is_other = not is_preferred and not bucket.is_idle(now)
    return identity.name == avoid, is_other, bucket.wait_s(now), not is_preferred, identity.n_leases, identity.name


@dataclass(frozen=True, slots=True)
class BuildPoliteness:
    """Makes the only Politeness of a run, locally or in an actor that may restart."""

    config: CrawlConfig
    store: Store
    seed: int = 0
    patience_s: float = 0.0
    """How long it waits for a store that does not answer: an actor that cannot be made is dead for good."""

    def __call__(self) -> Politeness:
        identities = {identity.name: identity.videos_per_hour for identity in self.config.pool()}
        patient = replace(self.store, patience_s=self.patience_s)
        return Politeness(self.config.politeness, identities, store=patient, dice=random.Random(self.seed))

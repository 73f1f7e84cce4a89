"""How often the site may be asked, by whom, and when to stop asking: one object for the whole cluster.

In process it is a plain object; on Ray it lives in an async named actor, so that a unit that waits holds no CPU slot.

    lease       which identity asks for the next video: one that is not resting and has not used up its hour
    take        one token for one request, from the bucket of its host and kind; or: this identity rests now
    report      how a video went: an answer closes the breaker, a refusal may open it

Buckets start and restart empty, not full: an actor that dies and comes back must not let a burst through.
A breaker opens at once for a bot check, a session limit or a 429, and after several soft refusals of different videos
in a row. Its rests grow; after a rest one video is let through as a probe, and the others wait for its answer.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from manifests.reasons import Reason
from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.store import Store
from pipeline.site.failures import Failure, Pause

log = logging.getLogger("hdvila")

STATE_FILE = "politeness.json"
POLL_S = 0.25
SAME_FAILURE_STOPS = 5
"""So many different videos in a row that fail in the extractor in the same way: yt-dlp is too old for the site."""

NO_NETWORK_STOPS = 5
"""So many lost connections before the first answer of a run: there is no network."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to ask for one video as one identity. `paused_s` > 0: nobody may ask for so long, try again then."""

    identity: str
    paused_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a report led to. `stop`: the run must end, with the reason and what to do."""

    paused_s: float = 0.0
    stop: Reason | None = None
    detail: str = ""


class Polite(Protocol):
    """What a stage sees: the same calls whether the object is here or in an actor; they block until they return."""

    def lease(self, patience_s: float, prefer: str = "", avoid: str = "") -> Lease: ...

    def take(self, identity: str, host: str, kind: str) -> float: ...

    def back_off(self, host: str, kind: str) -> float: ...

    def report(self, identity: str, video_id: str, failure: Failure | None, signature: str = "") -> Ruling: ...

    def snapshot(self) -> dict[str, Any]: ...


@dataclass(slots=True)
class Bucket:
    """A token bucket that gives out the time at which a request may go (GCRA). It starts empty."""

    interval_s: float
    burst: float
    jitter: float
    random: random.Random
    full_at: float = 0.0  # when the bucket would be full again

    def reserve(self, now: float) -> float:
        """Takes a token and returns how long to wait for it, in seconds."""
        gap = self.interval_s * (1 + self.jitter * self.random.random())
        start = max(self.full_at, now)
        self.full_at = start + gap
        return max(0.0, start - (self.burst - 1) * self.interval_s - now)

    def wait_s(self, now: float) -> float:
        """How long a token would have to be waited for now, without taking it."""
        return max(0.0, self.full_at - (self.burst - 1) * self.interval_s - now)


def _empty_bucket(per_second: float, burst: float, jitter: float, now: float, seed: random.Random) -> Bucket:
    interval = 1.0 / per_second
    return Bucket(interval, burst, jitter, seed, full_at=now + burst * interval)


@dataclass(slots=True)
class _Identity:
    name: str
    bucket: Bucket
    paused_until: float = 0.0
    probe_until: float = 0.0
    level: int = 0  # rests in a row without an answer between
    why: str = ""
    soft: dict[str, str] = field(default_factory=dict)  # video → reason, in a row
    n_leases: int = 0
    n_refusals: int = 0


class Politeness:
    """See the module. Thread-safe; its async methods never hold the lock while they wait."""

    def __init__(
        self,
        config: PolitenessConfig,
        identities: dict[str, float],
        *,
        store: Store | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`identities` maps names to videos an hour; `store` keeps the rests over restarts."""
        self._config, self._clock, self._wall_clock, self._store = config, clock, wall_clock, store
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._taken: dict[str, int] = {}
        self._n_answers = 0
        self._lost_before_any_answer = 0
        self._same: dict[str, set[str]] = {}
        self._born = clock()
        now = self._born
        self._identities = {
            name: _Identity(name, _empty_bucket(per_hour / 3600, config.burst, config.jitter, now, self._random))
            for name, per_hour in identities.items()
        }
        self._remember_rests()

    async def lease(self, patience_s: float, prefer: str = "", avoid: str = "") -> Lease:
        """The identity for the next video, after waiting until one may ask; at most `patience_s` while all rest."""
        waited_s = 0.0
        while True:
            with self._lock:
                name, wait_s, resting = self._choose(self._clock(), prefer, avoid)
            if name:
                await asyncio.sleep(wait_s)
                return Lease(name)
            if resting and waited_s >= patience_s:
                return Lease("", paused_s=wait_s)
            pause_s = max(0.001, min(POLL_S, wait_s, max(patience_s - waited_s, 0.001) if resting else POLL_S))
            await asyncio.sleep(pause_s)
            waited_s += pause_s if resting else 0.0

    def _choose(self, now: float, prefer: str, avoid: str) -> tuple[str, float, bool]:
        """(identity, seconds until its token) or ("", seconds until one may be free, whether all rest)."""
        awake = [one for one in self._identities.values() if max(one.paused_until, one.probe_until) <= now]
        if not awake:
            soonest = min(max(one.paused_until, one.probe_until) for one in self._identities.values())
            return "", soonest - now, True
        awake.sort(
            key=lambda one: (one.name == avoid, one.name != prefer, one.bucket.wait_s(now), one.n_leases, one.name)
        )
        chosen = awake[0]
        if chosen.bucket.wait_s(now) > POLL_S:  # wait without a reservation: it may be resting by then
            return "", min(one.bucket.wait_s(now) for one in awake), False
        if chosen.level:
            chosen.probe_until = now + self._config.probe_s
        chosen.n_leases += 1
        return chosen.name, chosen.bucket.reserve(now), False

    async def take(self, identity: str, host: str, kind: str) -> float:
        """Waits for one token; 0.0 when the request may go, else the seconds for which this identity rests."""
        with self._lock:
            now = self._clock()
            if (paused_s := self._identities[identity].paused_until - now) > 0:
                return paused_s
            wait_s = self._bucket(host, kind, now).reserve(now)
            self._taken[kind] = self._taken.get(kind, 0) + 1
        await asyncio.sleep(wait_s)
        with self._lock:
            return max(0.0, self._identities[identity].paused_until - self._clock())

    def _bucket(self, host: str, kind: str, now: float) -> Bucket:
        key = (host, kind)
        if key not in self._buckets:
            rates = self._config.requests_per_minute
            per_minute = rates.get(kind, rates.get("other", 60.0))
            self._buckets[key] = _empty_bucket(
                per_minute / 60, self._config.burst, self._config.jitter, self._born, self._random
            )
        return self._buckets[key]

    async def back_off(self, host: str, kind: str) -> float:
        """One kind of request was refused (captions are refused apart): its bucket stays shut for the first pause."""
        with self._lock:
            now = self._clock()
            bucket = self._bucket(host, kind, now)
            bucket.full_at = max(bucket.full_at, now + self._config.pauses_s[0] + bucket.interval_s)
            return self._config.pauses_s[0]

    async def report(self, identity: str, video_id: str, failure: Failure | None, signature: str = "") -> Ruling:
        """How a video went. None or a failure without pause is an answer of the site: it closes the breaker."""
        with self._lock:
            one = self._identities[identity]
            if failure is not None and (stop := self._must_stop(failure, video_id, signature)):
                return stop
            if failure is None or (failure.pause is Pause.NONE and failure.reason is not Reason.EXTRACTOR_ERROR):
                self._answered(one)
                return Ruling()
            if failure.pause is Pause.NONE:
                return Ruling()
            one.soft[video_id] = failure.reason.value
            one.n_refusals += 1
            if failure.pause is Pause.SOFT and len(one.soft) < self._config.soft_refusals and not one.level:
                return Ruling()
            paused_s = self._open(one, failure)
        await asyncio.to_thread(self._save)
        return Ruling(paused_s=paused_s)

    def _answered(self, one: _Identity) -> None:
        self._n_answers += 1
        self._same.clear()
        one.soft.clear()
        one.level, one.probe_until, one.why = 0, 0.0, ""

    def _open(self, one: _Identity, failure: Failure) -> float:
        now = self._clock()
        if one.paused_until > now:  # others in flight were refused too: the same block, not a further one
            return one.paused_until - now
        pauses = self._config.pauses_s
        least_s = self._config.session_pause_s if failure.reason is Reason.SESSION_LIMIT else 0.0
        base = max(pauses[min(one.level, len(pauses) - 1)], least_s)
        pause_s = base * (1 + self._config.jitter * self._random.random())
        one.paused_until, one.probe_until = now + pause_s, 0.0
        one.level += 1
        one.why = failure.reason.value
        one.soft.clear()
        return pause_s

    def _must_stop(self, failure: Failure, video_id: str, signature: str) -> Ruling | None:
        if failure.reason is Reason.EXTRACTOR_ERROR:
            videos = self._same.setdefault(signature, set())
            videos.add(video_id)
            if len(videos) >= SAME_FAILURE_STOPS:
                cure = "upgrade it (pip install -U 'yt-dlp[default,deno]') and run again"
                return Ruling(
                    stop=Reason.YT_DLP_TOO_OLD,
                    detail=f"{len(videos)} videos in a row fail with: {failure.detail}; {cure}",
                )
        if failure.reason in (Reason.CONNECTION_RESET, Reason.STALLED) and not self._n_answers:
            self._lost_before_any_answer += 1
            if self._lost_before_any_answer >= NO_NETWORK_STOPS:
                cure = "check the network and the proxy (hdvila-pipeline doctor)"
                return Ruling(stop=Reason.NO_NETWORK, detail=f"no answer at all: {failure.detail}; {cure}")
        return None

    def snapshot(self) -> dict[str, Any]:
        """State for people: each identity with its rest, and how many requests of each kind were let through."""
        with self._lock:
            return self._snapshot()

    def _snapshot(self) -> dict[str, Any]:
        now, wall = self._clock(), self._wall_clock()
        return {
            "at": wall,
            "requests": dict(sorted(self._taken.items())),
            "identities": [
                {
                    "name": one.name,
                    "paused_s": round(max(0.0, one.paused_until - now), 3),
                    "why": one.why if one.level else "",
                    "level": one.level,
                    "videos": one.n_leases,
                    "refusals": one.n_refusals,
                }
                for one in self._identities.values()
            ],
        }

    def _save(self) -> None:
        if self._store is None:
            return
        with self._lock:
            state = self._snapshot()
        self._store.write_json(STATE_FILE, state)

    def _remember_rests(self) -> None:
        """Takes up rests that were running when the last run ended: a restart is no way around a block."""
        state = read_state(self._store, self._wall_clock()) if self._store else {}
        for saved in state.get("identities", []):
            one = self._identities.get(saved["name"])
            if one is None or saved["paused_s"] <= 0:
                continue
            one.paused_until = self._clock() + saved["paused_s"]
            one.level, one.why = int(saved.get("level", 1)), str(saved.get("why", ""))


def read_state(store: Store, now: float | None = None) -> dict[str, Any]:
    """The last saved state of the identities, with what is left of their rests; {} where none can be read."""
    try:
        state = store.read_json(STATE_FILE)
        elapsed_s = max(0.0, (time.time() if now is None else now) - state["at"])
        for one in state["identities"]:
            one["paused_s"] = round(max(0.0, one["paused_s"] - elapsed_s), 3)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return dict(state)


@contextmanager
def log_pauses_of(polite: Polite, every_s: float = 5.0) -> Iterator[None]:
    """While the block lasts, says in the log when identities begin or end to rest, and that nothing is lost."""
    ended = threading.Event()

    def watch() -> None:
        said = ""
        while not ended.wait(every_s):
            snapshot = polite.snapshot()
            resting = " ".join(one["name"] for one in snapshot["identities"] if one["paused_s"] > 0)
            if resting != said:
                log.warning("%s", describe(snapshot) or "all identities are awake again")
            said = resting

    watcher = threading.Thread(target=watch, name="politeness", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def describe(snapshot: dict[str, Any]) -> str:
    """One line for a screen: which identities rest, why and for how long; "" while all are awake."""
    resting = [one for one in snapshot.get("identities", []) if one["paused_s"] > 0]
    if not resting:
        return ""
    whole = len(snapshot["identities"])
    parts = ", ".join(f"{one['name']} rests {one['paused_s']:.0f} s more ({one['why']})" for one in resting)
    return f"{len(resting)} of {whole} identities refused for now: {parts}; nothing is lost"

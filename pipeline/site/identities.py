"""One identity as politeness sees it: its limits, and the outcome of its requests."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TypedDict

from pipeline.site.api_quota import ApiState
from pipeline.site.buckets import Breaker, Bucket

MOST_SAID = 4
"""Different videos in a row of which an identity is only told something, before it looks at a canary."""


class IdentityState(TypedDict, total=False):
    """One identity in politeness.json."""

    name: str
    paused_s: float
    captions_paused_s: float
    why: str
    level: int
    videos: int
    requests: dict[str, int]  # by kind
    answers: int
    refusals: int
    reject_share: float
    next_token_s: float


class PolitenessState(TypedDict, total=False):
    """politeness.json: what a run saves of its identities and shows to people."""

    at: float  # seconds since 1970
    requests: dict[str, int]  # by kind, of all identities
    videos_per_hour: float
    binds: str
    identities: list[IdentityState]
    canaries: list[str]
    data_api: ApiState  # where it is asked


@dataclass(slots=True)
class Identity:
    """An identity's bucket and breakers, with counts of its requests, answers and refusals."""

    name: str
    bucket: Bucket
    breaker: Breaker = field(default_factory=Breaker)
    captions: Breaker = field(default_factory=Breaker)
    probe_until: float = 0.0
    paused_for: str = ""  # the subject whose refusal opened the breaker
    canary_at: float = -math.inf
    heard: set[str] = field(default_factory=set)  # videos of which it was only told, since it was last shown one
    n_shown: int = 0  # videos that it was shown
    missed_canary: bool = False  # and was shown no video since
    blocked: str = ""  # how it missed the canary after the longest pause
    soft: dict[str, str] = field(default_factory=dict)  # subject → reason, consecutive failures
    refused_captions: set[str] = field(default_factory=set)  # subjects, consecutive
    dead: str = ""  # why it cannot reach the site at all
    n_lost: int = 0  # attempts without a connection since its last answer
    serves_others: bool = False  # whether its last attempt was answered and not refused
    n_leases: int = 0
    n_answers: int = 0
    n_rejects: int = 0  # answers that rejected their video
    n_refusals: int = 0
    requests: Counter[str] = field(default_factory=Counter)  # by kind

    @property
    def is_in_doubt(self) -> bool:
        """Whether what it is told of videos may be a block: only a video that it is shown says otherwise."""
        return self.missed_canary or len(self.heard) >= MOST_SAID

    def is_shown_a_video(self) -> None:
        """What it was told of others is believed, too."""
        self.n_shown += 1
        self.heard.clear()
        self.missed_canary, self.blocked = False, ""

    def free_at(self, captions: bool) -> float:
        """When it may ask again, considering its pauses only."""
        return max(self.breaker.paused_until, self.probe_until, self.captions.paused_until if captions else 0.0)

    def facts(self, now: float) -> IdentityState:
        """What people and a later run read about it; `paused_s` and the like count from `now`."""
        return {
            "name": self.name,
            "paused_s": round(max(0.0, self.breaker.paused_until - now), 3),
            "captions_paused_s": round(max(0.0, self.captions.paused_until - now), 3),
            "why": self.breaker.why,
            "level": self.breaker.level,
            "videos": self.n_leases,
            "requests": dict(sorted(self.requests.items())),
            "answers": self.n_answers,
            "refusals": self.n_refusals,
            "reject_share": round(self.n_rejects / self.n_answers, 4) if self.n_answers else 0.0,
            "next_token_s": round(self.bucket.wait_s(now), 3),
        }

    def go_on_pausing(self, saved: IdentityState, now: float) -> None:
        """Resumes the pauses that were running when its facts were saved."""
        if saved["paused_s"] > 0:
            self.breaker = Breaker(now + saved["paused_s"], int(saved.get("level", 1)), str(saved.get("why", "")))
        if saved.get("captions_paused_s", 0.0) > 0:
            self.captions = Breaker(now + saved["captions_paused_s"], 1, "captions_refused")

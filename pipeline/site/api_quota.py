"""The quota of YouTube's Data API: the units used since it was last reset, and for how long the API is not asked.

A project has 10,000 units a day unless Google grants it more; every request costs at least one, and all come back at
midnight Pacific time (YouTube's documentation). The number is not a setting: the API says itself when no unit is left.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import TypedDict
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MOST_IDS = 50
"""Of a request, by YouTube's documentation."""
NO_UNITS = "no units left"
PAUSES_S = (60.0, 600.0, 3600.0)
"""In turn, after a refusal other than for want of units: too many requests a minute, server errors, no answer."""


class ApiState(TypedDict, total=False):
    """The Data API in politeness.json. Times are seconds since 1970."""

    units: int  # since the last reset
    resets_at: float
    paused_until: float  # 0.0: it is asked
    why: str
    level: int


def next_reset(now: float) -> float:
    """The next midnight Pacific time, seconds since 1970."""
    here = datetime.fromtimestamp(now, _pacific())
    tomorrow = here.date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), here.tzinfo).timestamp()


def _pacific() -> tzinfo:
    """Pacific time; where the machine knows no zones, its winter time: at most an hour late."""
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        return timezone(timedelta(hours=-8))


@dataclass(slots=True)
class ApiQuota:
    """See the module docstring. Times are of the wall clock, seconds since 1970, since the reset is."""

    units: int = 0
    resets_at: float = 0.0
    paused_until: float = 0.0
    why: str = ""
    level: int = 0

    def take(self, now: float) -> float:
        """Counts a unit and returns 0.0; or, if the API is paused, the seconds left."""
        if now >= self.resets_at:
            self.units, self.resets_at = 0, next_reset(now)
        if now < self.paused_until:
            return self.paused_until - now
        self.units += 1
        return 0.0

    def report(self, now: float, refused: str) -> float:
        """Takes how a request went, "" for an answer; returns the seconds of a pause that begins now, else 0.0."""
        if not refused:
            self.level, self.why = 0, ""
            return 0.0
        if now < self.paused_until:  # other requests in flight were refused too
            return 0.0
        pause_s = PAUSES_S[min(self.level, len(PAUSES_S) - 1)]
        until_reset_s = next_reset(now) - now
        pause_s = until_reset_s if refused == NO_UNITS else min(pause_s, until_reset_s)
        self.paused_until, self.why, self.level = now + pause_s, refused, self.level + 1
        return pause_s

    def facts(self, now: float) -> ApiState:
        """What people and a later run read about it; {} if it was never asked."""
        if not self.resets_at:
            return {}
        is_paused = now < self.paused_until
        return {
            "units": self.units,
            "resets_at": self.resets_at,
            "paused_until": self.paused_until if is_paused else 0.0,
            "why": self.why if is_paused else "",
            "level": self.level,
        }

    def go_on(self, saved: ApiState) -> None:
        """Continues with the units and the pause that were saved: a restart makes no new units."""
        self.units, self.resets_at = int(saved.get("units", 0)), float(saved.get("resets_at", 0.0))
        self.paused_until, self.why = float(saved.get("paused_until", 0.0)), str(saved.get("why", ""))
        self.level = int(saved.get("level", 0))


def describe_quota(state: ApiState, now: float) -> str:
    """A line for a screen; "" if the API was never asked."""
    if not state:
        return ""
    units = state["units"] if now < state["resets_at"] else 0
    reset = datetime.fromtimestamp(next_reset(now), UTC).strftime("%H:%M")
    said = f"Data API: {units:,} units used; the next reset is at {reset} UTC"
    if now >= state["paused_until"]:
        return said
    until = datetime.fromtimestamp(state["paused_until"], UTC).strftime("%H:%M")
    return f"{said}; not asked until {until} UTC ({state['why']}): candidates are looked at without it"

"""How often the site may be asked, as configured, and the pace that this allows: how many videos an hour a crawl can
look at, and which setting limits it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config.crawl import PolitenessConfig

REQUESTS_PER_VIDEO = {"page": 1.0, "player": 2.0, "caption": 1.0}
"""Requests of an extraction with the default clients (docs/crawl.md): the watch page, two players, one track."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate. `binds` names the setting that limits it."""

    videos_per_hour: float
    binds: str


def pace_of(config: PolitenessConfig, videos_per_hour: Mapping[str, float]) -> Pace:
    """The pace of identities, given each name's videos an hour, under their rates of requests."""
    n = len(videos_per_hour)
    by_kind = {
        f"identity_requests_per_minute.{kind}": 60 * config.identity_requests_per_minute[kind] / n_requests
        for kind, n_requests in REQUESTS_PER_VIDEO.items()
    }
    total, binding = 0.0, ""
    for per_hour in videos_per_hour.values():
        limits = {"videos_per_hour": per_hour} | by_kind
        least = min(limits, key=lambda name: limits[name])
        total += limits[least]
        binding = binding or least
    return Pace(total, f"{binding} of {n} identit{'y' if n == 1 else 'ies'}")

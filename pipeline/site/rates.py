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
    """The pace of identities, given each name's videos an hour, under their own rates and the common ceiling."""
    n = len(videos_per_hour)
    total, binding = 0.0, ""
    for per_hour in videos_per_hour.values():
        limits = {"videos_per_hour": per_hour} | _by_kind(config.identity_requests_per_minute, "identity")
        least = min(limits, key=lambda name: limits[name])
        total += limits[least]
        binding = binding or least
    ceilings = _by_kind(config.most_requests_per_minute, "most")
    least = min(ceilings, key=lambda name: ceilings[name], default="")
    if least and ceilings[least] < total:
        return Pace(ceilings[least], f"{least}, the ceiling over all identities: more identities gain nothing")
    return Pace(total, f"{binding} of {n} identit{'y' if n == 1 else 'ies'}")


def _by_kind(per_minute: Mapping[str, float], whose: str) -> dict[str, float]:
    """Videos an hour that the rate of each kind of request allows, by the setting's name."""
    return {
        f"{whose}_requests_per_minute.{kind}": 60 * per_minute[kind] / n
        for kind, n in REQUESTS_PER_VIDEO.items()
        if kind in per_minute
    }


def per_minute(config: PolitenessConfig, identity: str, kind: str) -> float:
    """Requests a minute of an identity; for identity "", the ceiling over all."""
    return config.identity_requests_per_minute[kind] if identity else config.most_requests_per_minute[kind]

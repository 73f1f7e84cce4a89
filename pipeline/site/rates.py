"""The rates in force: the configured ones, overridden by what a person asked of the live run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from manifests.live import Control
from pipeline.config.crawl import PolitenessConfig
from pipeline.site.pace import Pace, pace_of


@dataclass(frozen=True, slots=True)
class Rates:
    """`videos_per_hour` by identity; requests a minute by kind, for each identity (`own`) and for all together
    (`most`); `pace` is what they amount to.
    """

    videos_per_hour: Mapping[str, float]
    own: Mapping[str, float]
    most: Mapping[str, float]
    pace: Pace

    def per_minute(self, identity: str, kind: str) -> float:
        """Requests a minute of an identity; for identity "", the ceiling over all."""
        return self.own.get(kind, self.own.get("other", 60.0)) if identity else self.most[kind]


def rates_of(config: PolitenessConfig, videos_per_hour: Mapping[str, float], control: Control) -> Rates:
    """The configured rates, overridden by those in `control`."""
    asked = {name: rate for name, rate in control.videos_per_hour.items() if name in videos_per_hour}
    own = {**config.identity_requests_per_minute, **control.identity_requests_per_minute}
    most = {**config.most_requests_per_minute, **control.most_requests_per_minute}
    hours = {**videos_per_hour, **asked}
    now = config.model_copy(update={"identity_requests_per_minute": own, "most_requests_per_minute": most})
    return Rates(hours, own, most, pace_of(now, hours))

"""A clock that tests turn, identities without limits, and what a site may answer."""

import asyncio
import random
import time
from typing import Any

from manifests.reasons import Reason
from pipeline.config.crawl import PolitenessConfig
from pipeline.site.failures import Failure, Pause
from pipeline.site.politeness import Politeness

BOT = Failure(Reason.BOT_CHECK, "bot", Pause.HARD)
REFUSED_CAPTIONS = Failure(Reason.CAPTIONS_REFUSED, "429", Pause.CAPTIONS)


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Punctual(random.Random):
    """Dice that lengthen nothing."""

    def random(self) -> float:
        return 0.0


def politeness(clock: Any = time.monotonic, *names: str, **settings: Any) -> Politeness:
    config = PolitenessConfig(**{"pauses_s": (10.0, 40.0), **settings})
    each = dict.fromkeys(names or ("one",), 3600000.0)
    return Politeness(config, each, dice=Punctual(), clock=clock, wall_clock=clock)


def run(awaitable: Any) -> Any:
    return asyncio.run(awaitable)

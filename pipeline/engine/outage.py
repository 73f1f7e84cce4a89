"""Outages of a store: a call that may succeed a little later is made again, up to the driver's patience.

Waits grow and are drawn at random between half and the whole (so that many callers do not come back at once); what is
waited for is said once a minute.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from manifests.storage import is_passing

log = logging.getLogger("hdvila")

PATIENCE_S = 1800.0
"""How long the driver waits for a store that does not answer, seconds."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 20.0
APART_S = 120.0
"""A call that is made this much later than the last one failed, with none between, may meet another outage, seconds: it
has its whole patience. Longer than any wait between two tries."""
SAY_EVERY_S = 60.0

Result = TypeVar("Result")


@dataclass(slots=True)
class _Silence:
    """A store that answers no call of this process: since when, and when a call failed last."""

    since: float
    last: float


_silences: dict[str, _Silence] = {}
"""By store. What ends a run still writes and unlocks, and must not wait for the whole patience again at each of its
calls."""


def outlast(call: Callable[[], Result], *, where: str, patience_s: float) -> Result:
    """What the call returns. Raises its error if that is not a passing one, or the store has been silent for
    `patience_s`, to this call or to all."""
    started, said, wait_s = time.monotonic(), float("-inf"), FIRST_WAIT_S
    while True:
        asked = time.monotonic()
        try:
            result = call()
        except BaseException as error:  # judged below; what is not a store's passing trouble goes on as it is
            if not is_passing(error):
                _silences.pop(where, None)
                raise
            now = time.monotonic()
            waited_s = now - min(started, _silent_since(where, asked, now))
            if waited_s + wait_s > patience_s:
                raise
            if now - said > SAY_EVERY_S:
                log.warning("%s does not answer (%s); tried for up to %.0f s more", where, error, patience_s - waited_s)
                said = now
        else:
            _silences.pop(where, None)
            if said > 0:
                log.warning("%s answers again after %.0f s", where, time.monotonic() - started)
            return result
        time.sleep(wait_s * random.uniform(0.5, 1.0))  # no seed: nothing that comes out depends on it
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def _silent_since(where: str, asked: float, now: float) -> float:
    """Since when a store is silent that failed a call just now, which was made at `asked`: a store may take minutes to
    fail one, and that is no gap between two outages."""
    silence = _silences.get(where)
    if silence is None or asked - silence.last > APART_S:
        silence = _silences[where] = _Silence(now, now)
    silence.last = now
    return silence.since

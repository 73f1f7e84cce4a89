"""Outages of a store: a call that may succeed a little later is repeated, up to the driver's patience.

Waits grow, with random jitter between half and the full wait (so that many callers do not come back at once); what is
waited for is logged once a minute. A run that is asked to stop waits no longer than it has left (`stopping_by`).
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from manifests.errors import DamagedFile, is_of_other_bytes, is_passing, storage_errors

log = logging.getLogger("hdvila")

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 20.0
APART_S = 120.0
"""A call made this many seconds after the last that failed, with none between, may have met another outage and gets the
whole patience. Longer than any wait between two tries.
"""
SAY_EVERY_S = 60.0
DOUBTED_S = (0.1, 0.5, 1.5)
"""Waits between the tries to read a file whose store contradicts itself."""

Result = TypeVar("Result")


@dataclass(slots=True)
class _Silence:
    """A store that answers none of this process's calls: since when, and when and how the last call failed."""

    since: float
    last: float
    error: BaseException


_silences: dict[str, _Silence] = {}
"""By store. The writes and unlocking at the end of a run must not each wait for the whole patience again."""


_time_left: list[Callable[[], float]] = []
"""How many seconds the runs of this process have left."""


@contextmanager
def stopping_by(time_left_s: Callable[[], float]) -> Iterator[None]:
    """While the block runs, no call waits for a store longer than `time_left_s()`, infinite until a stop is wanted."""
    _time_left.append(time_left_s)
    try:
        yield
    finally:
        _time_left.remove(time_left_s)


def outlast(call: Callable[[], Result], *, where: str, patience_s: float) -> Result:
    """Makes a call, repeatedly during an outage. Raises its error if that is not temporary, or if the store has
    not answered this call, or any, for `patience_s`.
    """
    started, said, wait_s = time.monotonic(), float("-inf"), FIRST_WAIT_S
    _raise_if_over(where, started)
    while True:
        asked = time.monotonic()
        try:
            result = call()
        except BaseException as error:  # examined below; anything but a temporary failure of the store is raised
            if not is_passing(error):
                _silences.pop(where, None)
                raise
            now = time.monotonic()
            left_s = min(patience_s - (now - min(started, _silent_since(where, asked, now, error))), _left_s())
            if wait_s > left_s:
                raise
            if now - said > SAY_EVERY_S:
                log.warning("%s does not answer (%s); tried for up to %.0f s more", where, error, left_s)
                said = now
        else:
            _silences.pop(where, None)
            if said > 0:
                log.warning("%s answers again after %.0f s", where, time.monotonic() - started)
            return result
        time.sleep(wait_s * random.uniform(0.5, 1.0))  # needs no seed: no output depends on it
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def ask_again(call: Callable[[], Result], *, name: str, is_listed: Callable[[], bool]) -> Result:
    """Makes a call that reads a file, a few times more if the answer is in doubt: the file is not there, though
    `is_listed`, or its bytes do not fit the store's checksum of them. FileNotFoundError, DamagedFile.
    """
    waits_s = iter(DOUBTED_S)
    while True:
        try:
            return call()
        except storage_errors() as error:
            wait_s, is_damaged = next(waits_s, None), is_of_other_bytes(error)
            if wait_s is None and is_damaged:
                raise DamagedFile(f"{name}: the store gives other bytes than it got ({error}); restore it") from None
            if wait_s is None or not (is_damaged or (isinstance(error, FileNotFoundError) and is_listed())):
                raise
        time.sleep(wait_s)


def _left_s() -> float:
    return min((time_left_s() for time_left_s in _time_left), default=float("inf"))


def _raise_if_over(where: str, now: float) -> None:
    """Raises the last error of a store that was silent a moment ago if no time is left: a single call to a store that
    does not answer may take a minute.
    """
    silence = _silences.get(where)
    if silence is not None and now - silence.last < APART_S and _left_s() <= 0:
        raise silence.error


def _silent_since(where: str, asked: float, now: float, error: BaseException) -> float:
    """When the store stopped answering; a call made at `asked` has just failed. The gap to the failure before is
    measured up to `asked`, since a store may take minutes to fail a call.
    """
    silence = _silences.get(where)
    if silence is None or asked - silence.last > APART_S:
        silence = _silences[where] = _Silence(now, now, error)
    silence.last, silence.error = now, error
    return silence.since

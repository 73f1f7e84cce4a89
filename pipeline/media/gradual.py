"""Finds gradual transitions: runs of pictures that are each made of the picture before and of the one after.

Made how: as a mixture (dissolve), pixel by pixel of the one or of the other (wipe, iris), or as the one that pushes the
other out. What is the new one's share rises steadily, and little is left over. In movement it is otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.shot_pictures import HEIGHT, WIDTH, Pictures, Transition, is_covered, likeness, share_of, shares

_HALF_SPAN = 14
"""Pictures from the middle of a transition to those that belong to a single shot."""
_SLOW = 3
"""Of slow transitions (up to two and a half seconds) every third picture is looked at."""
REACH = 2 * _HALF_SPAN * _SLOW
"""Pictures on either side of a middle that are looked at, and their likes near it."""
_LEAST_DRIFT, _LEAST_WAY = 6.0, 15.0
"""Least mean difference of the ends of a dissolve, and of a wipe or push."""
_MIXED = 0.36
"""Largest mean distance of a dissolve's frames from mixtures of its ends, as a share of the ends' distance."""
_UNEVEN = 0.25
"""Largest distance of a dissolve's shares from a straight line."""
_PALER = 0.85
"""Largest variance in a dissolve's middle, as a share of its ends': mixtures of different pictures lose contrast."""
_OTHER = 0.8
"""Likeness of a dissolve's ends plus its distance from their mixtures is below this: one makes up for the other."""
_SLOW_MIXED, _SLOW_UNEVEN, _SLOW_OTHER = 0.5, 0.2, 1.0
"""The same of slow dissolves: in two seconds more moves, so more is left over, but the shares rise as steadily."""
_EVERY = 3
"""Frames between the middles that are tried."""
_LARGEST_STEP = 0.42
"""Largest change of a dissolve's shares between two frames; a cut's is 1."""
_LEFT_OVER, _OF_TWO = 0.3, 0.5
"""The same as _MIXED and _OTHER for wipes and pushes, which leave less: each picture is one of the two everywhere."""
_WORTH_IT = 0.45
"""What may be left over in the middle of the run, whose ends are further away, so that the rest is looked at."""
_CURVED = 0.35
"""The same as _UNEVEN for them: a circle's area grows with the square of its radius."""
_STEADY = 0.35
"""Largest spread of the change from picture to picture in a wipe or push, as a share of its mean."""
_SEAM = 0.5
"""Least difference along the seam of a push, as a share of the pictures': what a camera pans over has no seam."""

Shares = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Of each picture: the new one's share; what is left over, as a share of the distance between the old and the new."""
Way = Callable[[Pictures, Pictures, Pictures], Shares]
"""How pictures are made of the one before and the one after."""


def gradual(pictures: Pictures, step: int, cuts: list[int]) -> list[Transition]:
    """The gradual transitions away from cuts; `step` is the number of frames in a 25th of a second."""
    found = _at_pace(pictures, step, cuts, is_slow=False)
    every = _SLOW * step
    for slow in _at_pace(pictures[::every], 1, [cut // every for cut in cuts], is_slow=True):
        transition = Transition(slow.first * every, slow.last * every)
        if not any(transition.first <= one.last and transition.last >= one.first for one in found):
            found.append(transition)
    return found


def _at_pace(pictures: Pictures, step: int, cuts: list[int], *, is_slow: bool) -> list[Transition]:
    half = _HALF_SPAN * step
    if len(pictures) <= 2 * half:
        return []
    every = _EVERY * step
    tried = slice(half + -half % every, len(pictures) - half, every)
    apart = pictures[tried.start + half :: every], pictures[tried.start - half : -2 * half : every]
    drift = np.zeros(len(pictures), np.float32)
    drift[tried] = np.abs(apart[0] - apart[1]).mean(axis=(1, 2))
    for cut in cuts:
        drift[max(0, cut - half) : cut + half] = 0
    found: list[tuple[Transition, float]] = []
    for c in np.flatnonzero(drift > _LEAST_DRIFT).tolist():
        run = pictures[c - half : c + half + 1]
        span = _slow_dissolve(run) if is_slow else _dissolve(run, step)
        if span is None and drift[c] > _LEAST_WAY:
            span = _of_two(run, step)
        if span is None or is_covered(run[max(0, span[0] - 2)], run[min(len(run) - 1, span[1] + 1)]):
            continue
        transition = Transition(c - half + span[0], c - half + span[1])
        if not found or transition.first > found[-1][0].last:
            found.append((transition, float(drift[c])))
        elif drift[c] > found[-1][1]:  # the same transition, with ends that are less mixed
            found[-1] = transition, float(drift[c])
    return [transition for transition, _ in found]


def _slow_dissolve(run: Pictures) -> tuple[int, int] | None:
    return _made(run, 1, shares, _SLOW_MIXED, _SLOW_UNEVEN, _SLOW_OTHER)


def _dissolve(run: Pictures, step: int) -> tuple[int, int] | None:
    span = _made(run, step, shares, _MIXED, _UNEVEN, _OTHER)
    if span is None:
        return None
    before, after = run[max(0, span[0] - 2)], run[min(len(run) - 1, span[1] + 1)]
    ends = (float(before.var()) + float(after.var())) / 2
    return span if float(run[sum(span) // 2].var()) < _PALER * max(ends, 1e-6) else None


def _of_two(run: Pictures, step: int) -> tuple[int, int] | None:
    """A wipe or a push."""
    if likeness(run[0], run[-1], -1.0) > _OF_TWO:  # as they are, which is cheap
        return None
    first, middle, last = _half(run[[0, len(run) // 2, -1]])
    for way in (_of_either, *_pushes(first, last)):
        share, left = (float(value[0]) for value in way(middle[None], first, last))
        if 0.12 < share < 0.88 and left < _WORTH_IT and likeness(run[0], run[-1], _OF_TWO) < _OF_TWO:
            half = _half(run)
            span = _made(half, step, way, _LEFT_OVER, _CURVED, _OF_TWO)
            if span and _is_steady(half[slice(*span)]):
                return span
    return None


def _half(run: Pictures) -> Pictures:
    """The pictures at half the size: a push is looked for in all places."""
    return np.ascontiguousarray(run.reshape(len(run), HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(2, 4)))


def _is_steady(run: Pictures) -> bool:
    """Whether each picture differs as much from the one before: things that move start and stop."""
    change = np.abs(np.diff(run, axis=0)).mean(axis=(1, 2))
    return float(change.std()) < _STEADY * float(change.mean())


def _made(run: Pictures, step: int, way: Way, most_left: float, uneven: float, other: float) -> tuple[int, int] | None:
    """Where in a run the pictures are made of those at its ends, in this way.

    The place is guessed from the ends of the run, then judged by the pictures right before and after it, which have
    moved less.
    """
    share = share_of(run, run[0], run[-1]) if way is shares else way(run, run[0], run[-1])[0]
    inside = np.flatnonzero((share > 0.12) & (share < 0.88))
    if inside.size < 4 * step or float(np.diff(share).max()) > _LARGEST_STEP / step:
        return None
    begin, end = int(inside[0]), int(inside[-1]) + 1
    if float(np.diff(share[begin:end]).min()) < -0.08:
        return None
    aside = 2 if way is shares else 2 + (end - begin) // 6
    before, after = run[max(0, begin - aside)], run[min(len(run) - 1, end - 1 + aside)]
    share, left = way(run[begin:end], before, after)
    even = np.linspace(0, 1, end - begin + 2)[1:-1]
    if float(left.mean()) > most_left or float(np.abs(share - even).max()) > uneven:
        return None
    if way is not shares:
        return begin, end
    return (begin, end) if likeness(before, after) < other - float(left.mean()) else None


def _of_either(run: Pictures, before: Pictures, after: Pictures) -> Shares:
    """Each pixel is the old one or the new one."""
    way = np.abs(after - before)
    old, new = np.abs(run - before), np.abs(run - after)
    share = ((new < old) * way).sum(axis=(1, 2)) / max(float(way.sum()), 1e-6)
    left = np.sqrt((np.minimum(old, new) ** 2).mean(axis=(1, 2))) / max(float(np.sqrt((way**2).mean())), 1e-6)
    return np.asarray(share, np.float32), np.asarray(left, np.float32)


def _pushes(before: Pictures, after: Pictures) -> list[Way]:
    """The ways in which the new picture may push the old one out: from each side where the two have a seam."""
    least = _SEAM * float(np.abs(after - before).mean())
    ways: list[Way] = []
    for turned in (False, True):
        old, new = (before.T, after.T) if turned else (before, after)
        if float(np.abs(old[:, -1] - new[:, 0]).mean()) > least:
            ways.append(_pushed(turned, True))
        if float(np.abs(new[:, -1] - old[:, 0]).mean()) > least:
            ways.append(_pushed(turned, False))
    return ways


def _pushed(turned: bool, old_first: bool) -> Way:
    """A way for `_made`: pictures are windows of the two side by side (or one above the other)."""

    def way(run: Pictures, before: Pictures, after: Pictures) -> Shares:
        both = np.concatenate([before, after] if old_first else [after, before], axis=0 if turned else 1)
        far = max(float(np.sqrt(((after - before) ** 2).mean())), 1e-6)
        places = []
        for picture in run:
            off = cv2.matchTemplate(both, picture, cv2.TM_SQDIFF).reshape(-1)
            place = int(off.argmin())
            places.append((place / (off.size - 1), np.sqrt(max(0.0, float(off[place])) / picture.size) / far))
        share, left = np.asarray(places, np.float32).T
        return share if old_first else 1 - share, left

    return way

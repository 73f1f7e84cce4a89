"""Finds where a shot ends and the next begins, from brightness alone, on pictures of 64 x 36.

In:  small pictures in order        Out: hard cuts, and spans of gradual transitions (dissolves, fades), by frame number

- A *cut* changes the picture more than the frames around it change, and nothing shortly before it looks like anything
  shortly after: where something does, it was a flash, a jump of exposure, or the camera moved. "Looks like" is the
  correlation of the two pictures at the best of small shifts, which brightness and contrast do not affect.
- In a *dissolve* each frame is a mixture of the first and the last, in shares that rise steadily; in movement it isn't.
- A *fade* goes through frames that are black.

Constants are set on half of the shots of bench/scenes.py; the search for dissolves was corrected on the other half too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 36

Pictures = NDArray[np.float32]
"""n x HEIGHT x WIDTH, brightness."""

_NEAR = 6
"""Frames before and after a cut that are compared: where any look alike there is no cut, as with a flash."""
_LEAST_CHANGE = 2.5
"""Least mean change of brightness at a cut, of 255."""
_OUTSTANDING = 2.5
"""A cut changes the picture at least this many times as much as the median of the frames around it."""
_ALIKE = 0.8
"""Correlation above which two pictures show the same."""
_SAME = 1.0
"""Pictures with a mean difference below this are the same, flat ones included."""
_OF_SPREAD = 0.3
"""Least change at a cut, as a share of the pictures' contrast: a line of text that appears changes less."""
_ALONE = 1.4
"""A cut changes the picture this many times as much as the frames right beside it, except in fast movement."""
_ONE_MIXED = 0.25
_SUDDEN, _FAST_CHANGE = 1.5, 8.0
"""A cut into movement changes the picture this many times as much as the frame before (or after), and by this much."""
_UNLIKE, _SURELY_ALIKE = 0.1, 0.9
_OF_CONTRAST = 0.5
_SHIFT = 0.2
"""Largest shift that is tried, as a share of the picture's sides."""
_FLAT = 4.0
"""Variance added to both sides of a correlation, so that noise in flat pictures doesn't count as a difference."""

_HALF_SPAN = 14
"""Frames from the middle of a dissolve to pictures that belong to a single shot."""
_LEAST_DRIFT = 6.0
_MIXED = 0.36
"""Largest mean distance of a dissolve's frames from mixtures of its ends, as a share of the ends' distance."""
_UNEVEN = 0.25
"""Largest distance of a dissolve's shares from a straight line."""
_PALER = 0.85
"""Largest variance in a dissolve's middle, as a share of its ends': mixtures of different pictures lose contrast."""
_OTHER = 0.8
"""Likeness of a dissolve's ends plus its distance from their mixtures is below this: one makes up for the other."""
_EVERY = 3
"""Frames between the middles that are tried."""
_LARGEST_STEP = 0.42
"""Largest change of a dissolve's shares between two frames; a cut's is 1."""
_BLACK_MEAN, _BLACK_SPREAD = 24.0, 3.0
_FADE_REACH = 16
_LONG_BLACK = 25
"""More black frames than this are a shot of their own."""
_BLOCK = 256


@dataclass(frozen=True, slots=True, order=True)
class Transition:
    """A change of shot: `first` is the first frame not of the old shot alone, `last` the first of the new alone."""

    first: int
    last: int

    @property
    def middle(self) -> int:
        """The frame at which the new shot counts as started."""
        return (self.first + self.last) // 2

    @property
    def is_gradual(self) -> bool:
        """Whether it takes longer than a cut."""
        return self.last > self.first


class ShotFinder:
    """Finds transitions in consecutive pictures; holds a few hundred of them at most."""

    def __init__(self, fps: float) -> None:
        self._step = max(1, round(fps / 25))
        self._margin = 2 * _HALF_SPAN * self._step + _FADE_REACH * self._step
        self._held: list[NDArray[np.uint8]] = []
        self._first = 0
        self._decided = 0
        self._transitions: list[Transition] = []

    def feed(self, luma: NDArray[np.uint8]) -> None:
        """Takes the next picture's brightness, height x width."""
        self._hold(few_pixels(luma))

    def feed_again(self) -> None:
        """Takes a picture that shows just what the last did."""
        self._hold(self._held[-1])

    def _hold(self, picture: NDArray[np.uint8]) -> None:
        self._held.append(picture)
        if len(self._held) >= _BLOCK + 2 * self._margin:
            self._decide(self._first + len(self._held) - self._margin)

    def finish(self) -> list[Transition]:
        """Returns all transitions, in order."""
        if self._held:
            self._decide(self._first + len(self._held))
        return sorted(self._transitions)

    def _decide(self, until: int) -> None:
        """Records transitions with a middle before frame `until`, and drops pictures that no later one needs."""
        near = transitions(np.stack(self._held).astype(np.float32), self._step)
        for transition in near:
            moved = Transition(transition.first + self._first, transition.last + self._first)
            if self._decided <= moved.middle < until:
                self._transitions.append(moved)
        self._decided = until
        drop = max(0, until - self._margin - self._first)
        del self._held[:drop]
        self._first += drop


def few_pixels(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scales to WIDTH x HEIGHT, from 16 pixels per output pixel of large pictures: as good, a tenth of the cost."""
    height, width = luma.shape
    if width >= 8 * WIDTH and height >= 8 * HEIGHT:
        read = _rows_read(luma)
        luma = np.asarray(cv2.resize(read, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _rows_read(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The rows that linear interpolation to 2 * HEIGHT reads, where that divides the height evenly; else all.

    A decoded picture has left the cache: copied whole, rows come faster than pixel by pixel. The result is the same:
    of two rows each counts for half there as here, and of an odd number the middle one for all.
    """
    height, width = luma.shape
    every, rest = divmod(height, 2 * HEIGHT)
    if rest:
        return luma
    read = luma.reshape(2 * HEIGHT, every, width)[:, (every - 1) // 2 : every // 2 + 1]
    return np.ascontiguousarray(read).reshape(-1, width)


def transitions(pictures: Pictures, step: int = 1) -> list[Transition]:
    """The transitions in a run of pictures; `step` is the number of frames in a 25th of a second."""
    if len(pictures) < 2:
        return []
    fades = _fades(pictures, step)
    cuts = [cut for cut in _cuts(pictures, step) if not _near(cut, cut, fades, step)]
    dissolves = [d for d in _dissolves(pictures, step, cuts) if not _near(d.first, d.last, fades, step)]
    return sorted([*fades, *(Transition(cut, cut) for cut in cuts), *dissolves])


def _near(first: int, last: int, others: list[Transition], step: int) -> bool:
    return any(first <= o.last + 2 * step and last >= o.first - 2 * step for o in others)


def likeness(first: Pictures, second: Pictures, enough: float = 1.0) -> float:
    """The likeness of two pictures, up to 1: their correlation, as they are or at the best of small shifts.

    Shifts are not tried if the unshifted pictures already reach `enough`: they cost twenty times as much.
    """
    if float(np.abs(first - second).mean()) < _SAME:
        return 1.0
    in_place = _in_place(first, second)
    if in_place >= enough:
        return in_place
    down, right = round(_SHIFT * HEIGHT), round(_SHIFT * WIDTH)
    return max(in_place, _shifted(first, second[down : HEIGHT - down, right : WIDTH - right]))


def _in_place(first: Pictures, second: Pictures) -> float:
    """The correlation of two pictures; noise in flat pictures does not count as likeness."""
    a, b = (first - first.mean()).reshape(-1), (second - second.mean()).reshape(-1)
    of_second = float(b @ b)
    both = float(np.sqrt(float(a @ a) * of_second))
    spread = of_second / len(b)
    return float(a @ b) / both * spread / (spread + _FLAT) if both else 0.0


def _shifted(picture: Pictures, middle: Pictures) -> float:
    """The correlation of `middle` with the part of `picture` that fits it best."""
    spread = float(middle.var())
    return float(cv2.matchTemplate(picture, middle, cv2.TM_CCOEFF_NORMED).max()) * spread / (spread + _FLAT)


def _cuts(pictures: Pictures, step: int) -> list[int]:
    change = np.zeros(len(pictures) + 1, np.float32)
    change[1:-1] = [cv2.norm(a, b, cv2.NORM_L1) / (WIDTH * HEIGHT) for a, b in pairwise(pictures)]
    cuts = []
    for i in np.flatnonzero(change > _LEAST_CHANGE).tolist():
        if change[i] < change[max(0, i - 2) : i + 3].max():
            continue
        around = np.concatenate([change[max(1, i - 8 * step) : i], change[i + 1 : i + 1 + 8 * step]])
        if change[i] < _OUTSTANDING * float(np.median(around)):
            continue
        if change[i] < _OF_SPREAD * float(pictures[i - 1 : i + 1].std(axis=(1, 2)).max()):
            continue
        beside = i - 1 if change[i - 1] > change[i + 1] else i + 1
        if change[i] < _ALONE * change[beside] and not _is_one_mixed_frame(pictures, min(i, beside)):
            continue
        if _is_another_shot(pictures, min(i, beside) if change[i] < _ALONE * change[beside] else i, step):
            cuts.append(i)
    return sorted(cuts + _breaks(pictures, change, step, cuts))


def _breaks(pictures: Pictures, change: NDArray[np.float32], step: int, cuts: list[int]) -> list[int]:
    """Cuts into or out of fast movement: every frame changes, but on one side each still looks like its predecessor."""
    breaks: list[int] = []
    for i in np.flatnonzero(change > _FAST_CHANGE).tolist():
        if not 3 <= i < len(pictures) - 2 or change[i] < _SUDDEN * min(change[i - 1], change[i + 1]):
            continue
        if any(abs(i - cut) < _NEAR * step for cut in (*cuts, *breaks)):
            continue
        contrast = sorted(pictures[i - 1 : i + 1].std(axis=(1, 2)).tolist())
        if contrast[0] < _OF_CONTRAST * contrast[1] or likeness(pictures[i - 1], pictures[i]) > _UNLIKE:
            continue  # a flash leaves little of a picture's contrast
        sides = (pictures[i - 3 : i], pictures[i : i + 3])
        if not any(min(likeness(a, b) for a, b in pairwise(side)) > _ALIKE for side in sides):
            continue
        if _is_another_shot(pictures, i, step, _SURELY_ALIKE):
            breaks.append(i)
    return breaks


def _is_one_mixed_frame(pictures: Pictures, i: int) -> bool:
    """Whether frame i is a mixture of its neighbours, as frame rate conversion makes at a cut."""
    if not 0 < i < len(pictures) - 1:
        return False
    share, off = _shares(pictures[i : i + 1], pictures[i - 1], pictures[i + 1])
    return 0.1 < float(share[0]) < 0.9 and float(off[0]) < _ONE_MIXED


def _is_another_shot(pictures: Pictures, i: int, step: int, alike: float = _ALIKE) -> bool:
    before = [a for a in (i - 1, i - 1 - 3 * step, i - _NEAR * step) if a >= 0]
    after = [b for b in (i, i + 2 * step, i + (_NEAR - 1) * step) if b < len(pictures)]
    return all(likeness(pictures[a], pictures[b], alike) < alike for a in before for b in after)


def _fades(pictures: Pictures, step: int) -> list[Transition]:
    flat = pictures.reshape(len(pictures), -1)
    mean = flat.mean(axis=1)
    spread = np.sqrt(np.maximum(np.einsum("ij,ij->i", flat, flat) / flat.shape[1] - mean**2, 0))
    black = (mean < _BLACK_MEAN) & (spread < _BLACK_SPREAD)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], black, [False]]).astype(np.int8)))
    fades = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if begin == 0 or end == len(pictures):
            continue
        first, last = begin, end
        while first > 0 and begin - first < _FADE_REACH * step and spread[first - 1] > spread[first] * 1.02:
            first -= 1
        while last + 1 < len(pictures) and last - end < _FADE_REACH * step and spread[last + 1] > spread[last] * 1.02:
            last += 1
        if end - begin > _LONG_BLACK * step:
            fades += [Transition(first, begin), Transition(end, last)]
        else:
            fades.append(Transition(first, last))
    return fades


def _dissolves(pictures: Pictures, step: int, cuts: list[int]) -> list[Transition]:
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
    dissolves: list[tuple[Transition, float]] = []
    for c in np.flatnonzero(drift > _LEAST_DRIFT).tolist():
        span = _mixture(pictures[c - half : c + half + 1], step)
        if span is None:
            continue
        dissolve = Transition(c - half + span[0], c - half + span[1])
        if not dissolves or dissolve.first > dissolves[-1][0].last:
            dissolves.append((dissolve, float(drift[c])))
        elif drift[c] > dissolves[-1][1]:  # the same dissolve, with ends that are less mixed
            dissolves[-1] = dissolve, float(drift[c])
    return [dissolve for dissolve, _ in dissolves]


def _mixture(run: Pictures, step: int) -> tuple[int, int] | None:
    """Finds where in a run a shot dissolves into another; None where it doesn't.

    The place is guessed from the ends of the run, then judged by the pictures right before and after it, which have
    moved less.
    """
    share = _share(run, run[0], run[-1])
    inside = np.flatnonzero((share > 0.12) & (share < 0.88))
    if inside.size < 4 * step or float(np.diff(share).max()) > _LARGEST_STEP / step:
        return None
    begin, end = int(inside[0]), int(inside[-1]) + 1
    if float(np.diff(share[begin:end]).min()) < -0.08:
        return None
    before, after = run[max(0, begin - 2)], run[min(len(run) - 1, end + 1)]
    share, off = _shares(run[begin:end], before, after)
    even = np.linspace(0, 1, end - begin + 2)[1:-1]
    if float(off.mean()) > _MIXED or float(np.abs(share - even).max()) > _UNEVEN:
        return None
    paler = float(run[(begin + end) // 2].var()) / max((float(before.var()) + float(after.var())) / 2, 1e-6)
    differ = likeness(before, after) < _OTHER - float(off.mean())
    return (begin, end) if paler < _PALER and differ else None


def _shares(run: Pictures, before: Pictures, after: Pictures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(share of `after` in each picture; distance from that mixture, as a share of the distance between the two)."""
    way = after - before
    share = _share(run, before, after)
    rest = run - (before + share[:, None, None] * way)
    off = np.sqrt((rest**2).mean(axis=(1, 2))) / max(float(np.sqrt((way**2).mean())), 1e-6)
    return share, off.astype(np.float32)


def _share(run: Pictures, before: Pictures, after: Pictures) -> NDArray[np.float32]:
    """The share of `after` in each picture."""
    way = (after - before).reshape(-1)
    share = (run.reshape(len(run), -1) @ way - before.reshape(-1) @ way) / max(float(way @ way), 1e-6)
    return np.asarray(share, np.float32)

"""Finds where a shot ends and the next begins, on pictures of 64 x 36 and the colours of a few pixels.

In:  small pictures in order        Out: hard cuts, and spans of gradual transitions, by frame number

- A *cut* changes the picture more than the frames around it change, and nothing shortly before it looks like anything
  shortly after: where something does, it was a flash, a jump of exposure, or the camera moved. "Looks like" is the
  correlation of the two pictures at the best of small shifts, which brightness and contrast do not affect. Where most
  parts stay as they were, something lies over the picture: a caption.
- A cut that brightness does not show changes the *colours*, which stay changed.
- A *fade* goes through frames that are black or white.
- The other gradual ones: gradual.py.

What they find of 20 kinds, and on which films constants were chosen: docs/lab/clips.md.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.gradual import REACH, gradual
from pipeline.media.shot_pictures import (
    HEIGHT,
    WIDTH,
    Pictures,
    Transition,
    few_pixels,
    is_covered,
    likeness,
    shares,
)

_NEAR = 6
"""Frames before and after a cut that are compared: where any look alike there is no cut, as with a flash."""
_LEAST_CHANGE = 2.5
"""Least mean change of brightness at a cut, of 255."""
_OUTSTANDING = 2.5
"""A cut changes the picture at least this many times as much as the median of the frames around it."""
_ALIKE = 0.8
"""Correlation above which two pictures show the same."""
_OF_SPREAD = 0.3
"""Least change at a cut, as a share of the pictures' contrast: a line of text that appears changes less."""
_ALONE = 1.4
"""A cut changes the picture this many times as much as the frames right beside it, except in fast movement."""
_ONE_MIXED = 0.25
_SUDDEN, _FAST_CHANGE = 1.5, 8.0
"""A cut into movement changes the picture this many times as much as the frame before (or after), and by this much."""
_UNLIKE, _SURELY_ALIKE = 0.1, 0.9
_OF_CONTRAST = 0.5

_BLACK_MEAN, _WHITE_MEAN, _BLACK_SPREAD = 24.0, 222.0, 3.0
_FADE_REACH = 16
_LONG_BLACK = 25
"""More black frames than this are a shot of their own."""
_BLOCK = 512

Colours = NDArray[np.float32]
"""n x 2 x rows x columns: blue and red of a few pixels, 128 is grey."""
_LEAST_COLOUR = 8.0
"""Least mean change of the colours at a cut that brightness does not show, of 255."""
_SHOWS = 6.0
"""Spread of brightness from which two pictures can be alike though their colours differ: the light has changed."""


_GREY = np.full((2, 1, 1), 128, np.uint8)


class ShotFinder:
    """Finds transitions in consecutive pictures; holds a few hundred of them at most."""

    def __init__(self, fps: float) -> None:
        self._step = max(1, round(fps / 25))
        self._margin = (REACH + _FADE_REACH) * self._step
        self._held: list[NDArray[np.uint8]] = []
        self._colours: list[NDArray[np.uint8]] = []
        self._first = 0
        self._decided = 0
        self._transitions: list[Transition] = []

    def feed(self, luma: NDArray[np.uint8], colours: NDArray[np.uint8] | None = None) -> None:
        """Takes the next picture's brightness, height x width, and the colours of some pixels, 2 x rows x columns."""
        self._hold(few_pixels(luma), _GREY if colours is None else colours)

    def feed_again(self) -> None:
        """Takes a picture that shows just what the last did."""
        self._hold(self._held[-1], self._colours[-1])

    def _hold(self, picture: NDArray[np.uint8], colours: NDArray[np.uint8]) -> None:
        self._held.append(picture)
        self._colours.append(colours)
        if len(self._held) >= _BLOCK + 2 * self._margin:
            self._decide(self._first + len(self._held) - self._margin)

    def finish(self) -> list[Transition]:
        """Returns all transitions, in order."""
        if self._held:
            self._decide(self._first + len(self._held))
        return sorted(self._transitions)

    def _decide(self, until: int) -> None:
        """Records transitions with a middle before frame `until`, and drops pictures that no later one needs."""
        pictures, colours = (np.stack(held).astype(np.float32) for held in (self._held, self._colours))
        near = transitions(pictures, self._step, colours)
        for transition in near:
            moved = Transition(transition.first + self._first, transition.last + self._first)
            if self._decided <= moved.middle < until:
                self._transitions.append(moved)
        self._decided = until
        drop = max(0, until - self._margin - self._first)
        del self._held[:drop], self._colours[:drop]
        self._first += drop


def transitions(pictures: Pictures, step: int = 1, colours: Colours | None = None) -> list[Transition]:
    """The transitions in a run of pictures; `step` is the number of frames in a 25th of a second."""
    if len(pictures) < 2:
        return []
    fades = _fades(pictures, step)
    cuts = _cuts(pictures, step)
    if colours is not None:
        cuts = sorted(cuts + _colour_cuts(pictures, colours, step, cuts))
    cuts = [cut for cut in cuts if not _near(cut, cut, fades, step)]
    slow = [d for d in gradual(pictures, step, cuts) if not _near(d.first, d.last, fades, step)]
    return sorted([*fades, *(Transition(cut, cut) for cut in cuts), *slow])


def _near(first: int, last: int, others: list[Transition], step: int) -> bool:
    return any(first <= o.last + 2 * step and last >= o.first - 2 * step for o in others)


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


def _colour_cuts(pictures: Pictures, colours: Colours, step: int, cuts: list[int]) -> list[int]:
    """Cuts of shots of one brightness in other colours, which last. Where what is seen stays, the light changed."""
    change = np.abs(np.diff(colours.reshape(len(colours), -1), axis=0, prepend=colours[:1].reshape(1, -1))).mean(axis=1)
    found: list[int] = []
    for i in np.flatnonzero(change > _LEAST_COLOUR).tolist():
        around = np.concatenate([change[max(1, i - 8 * step) : i], change[i + 1 : i + 1 + 8 * step]])
        if change[i] < change[max(0, i - 2) : i + 3].max() or change[i] < _OUTSTANDING * float(np.median(around)):
            continue
        if any(abs(i - cut) < _NEAR * step for cut in (*cuts, *found)):
            continue
        if min(pictures[i - 1 : i + 1].std(axis=(1, 2))) > _SHOWS and likeness(*pictures[i - 1 : i + 1]) > _ALIKE:
            continue
        far = max(0, i - _NEAR * step), min(len(colours) - 1, i + _NEAR * step)
        if float(np.abs(colours[far[0]] - colours[far[1]]).mean()) > _LEAST_COLOUR:
            found.append(i)
    return found


def _is_one_mixed_frame(pictures: Pictures, i: int) -> bool:
    """Whether frame i is a mixture of its neighbours, as frame rate conversion makes at a cut."""
    if not 0 < i < len(pictures) - 1:
        return False
    share, off = shares(pictures[i : i + 1], pictures[i - 1], pictures[i + 1])
    return 0.1 < float(share[0]) < 0.9 and float(off[0]) < _ONE_MIXED


def _is_another_shot(pictures: Pictures, i: int, step: int, alike: float = _ALIKE) -> bool:
    if is_covered(pictures[i - 1], pictures[i]):
        return False
    before = [a for a in (i - 1, i - 1 - 3 * step, i - _NEAR * step) if a >= 0]
    after = [b for b in (i, i + 2 * step, i + (_NEAR - 1) * step) if b < len(pictures)]
    return all(likeness(pictures[a], pictures[b], alike) < alike for a in before for b in after)


def _fades(pictures: Pictures, step: int) -> list[Transition]:
    flat = pictures.reshape(len(pictures), -1)
    mean = flat.mean(axis=1)
    spread = np.sqrt(np.maximum(np.einsum("ij,ij->i", flat, flat) / flat.shape[1] - mean**2, 0))
    is_flat = ((mean < _BLACK_MEAN) | (mean > _WHITE_MEAN)) & (spread < _BLACK_SPREAD)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_flat, [False]]).astype(np.int8)))
    fades = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if begin == 0 or end == len(pictures):
            continue
        first, last = begin, end
        while first > 0 and begin - first < _FADE_REACH * step and spread[first - 1] > spread[first] * 1.02:
            first -= 1
        while last + 1 < len(pictures) and last - end < _FADE_REACH * step and spread[last + 1] > spread[last] * 1.02:
            last += 1
        if mean[begin] > _WHITE_MEAN and likeness(pictures[first - 1], pictures[min(last, len(mean) - 1)]) > _ALIKE:
            continue  # a flash
        if end - begin > _LONG_BLACK * step:
            fades += [Transition(first, begin), Transition(end, last)]
        else:
            fades.append(Transition(first, last))
    return fades

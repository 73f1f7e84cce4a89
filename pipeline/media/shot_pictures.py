"""Small pictures of frames, what they have in common, and transitions between them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 36

Pictures = NDArray[np.float32]
"""n x HEIGHT x WIDTH, brightness."""

_SAME = 1.0
"""Pictures with a mean difference below this are the same, flat ones included."""
_SHIFT = 0.2
"""Largest shift that is tried, as a share of the picture's sides."""
_FLAT = 4.0
"""Variance added to both sides of a correlation, so that noise in flat pictures doesn't count as a difference."""
_BLOCK_ROWS, _BLOCK_COLUMNS = 6, 8
_DETAIL = 3.0
"""Least spread of a block's brightness: what is flat is the same in many pictures."""
_STAYS = 0.5
"""Largest difference of a block that stays, as a share of its spread."""
_MOVES = 2
"""Pixels by which it may have moved."""
_MOST_STAYS, _LEAST_BLOCKS = 0.45, 12


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


def is_covered(first: Pictures, second: Pictures) -> bool:
    """Whether the second picture is the first but for something that lies over it: a caption, an inset.

    Then most blocks that show any detail stay as they were; those of another shot don't.
    """
    spreads = [_in_blocks(picture).std(axis=(1, 3)) for picture in (first, second)]
    spread, shows = np.minimum(*spreads), np.maximum(*spreads) > _DETAIL
    if shows.sum() < _LEAST_BLOCKS:
        return False
    by = range(-_MOVES, _MOVES + 1)
    moved = [np.roll(second, (down, right), (0, 1)) for down in by for right in by]
    nearest = np.min([_in_blocks(np.abs(first - picture)).mean(axis=(1, 3)) for picture in moved], axis=0)
    return int(((nearest < _STAYS * spread) & shows).sum()) >= _MOST_STAYS * int(shows.sum())


def _in_blocks(picture: Pictures) -> Pictures:
    return picture.reshape(HEIGHT // _BLOCK_ROWS, _BLOCK_ROWS, WIDTH // _BLOCK_COLUMNS, _BLOCK_COLUMNS)


def shares(run: Pictures, before: Pictures, after: Pictures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(share of `after` in each picture; distance from that mixture, as a share of the distance between the two)."""
    way = after - before
    share = share_of(run, before, after)
    rest = run - (before + share[:, None, None] * way)
    off = np.sqrt((rest**2).mean(axis=(1, 2))) / max(float(np.sqrt((way**2).mean())), 1e-6)
    return share, off.astype(np.float32)


def share_of(run: Pictures, before: Pictures, after: Pictures) -> NDArray[np.float32]:
    """The share of `after` in each picture."""
    way = (after - before).reshape(-1)
    share = (run.reshape(len(run), -1) @ way - before.reshape(-1) @ way) / max(float(way @ way), 1e-6)
    return np.asarray(share, np.float32)

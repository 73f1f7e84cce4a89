"""Perceptual hashes of a picture: 64 bits each; few bits differ between pictures that show the same.

This is the DCT hash known as pHash: scale the brightness to 32 x 32, take the 8 x 8 lowest frequencies of its cosine
transform, and set a bit for each above their median. It is implemented here since the library (ImageHash) brings
SciPy and wavelets along; a test compares the two.

A picture has eight hashes, each of a different region, since what is done to copies spoils some and spares others:
a logo or a subtitle bar spares the inner region, a crop at one end of the longer side the square at the other end,
blurred pillars the strip in the middle, and fill above and below an upright copy too, whose strip is the original's
whole picture; after a crop on all sides, the copy's whole picture is the original's middle or, after one of 15 % a
side, its inner region, and after one of 10 % its middle is the original's inner region; after a crop at one end of the
shorter side, it is nearly the original without an eighth.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

HASH_BYTES = 8
NOTHING = 0
"""The hash of a region without anything to recognise it by (black, white, a flat colour)."""

WHOLE, MIDDLE, INNER, BEGIN, END, BUT_BEGIN, BUT_END, CENTRE = range(8)
"""Columns of the hashes: the whole picture inside its bars; 86 and 72 % of each side; the largest square at the left
(or upper) end and at the right (or lower) end; all but an eighth of the shorter side at its upper (or left) end, and at
the other; the central strip of 9:16 (of an upright picture 16:9), which pillars at both sides (fill above and below)
leave as it is: of the picture with its bars, since blurred fill of one brightness is none.
"""
N_HASHES = 8

ALIGNED = (
    *((WHOLE, region) for region in (WHOLE, MIDDLE, CENTRE, INNER, BUT_BEGIN, BUT_END)),
    *((region, WHOLE) for region in (MIDDLE, CENTRE, INNER, BUT_BEGIN, BUT_END)),
    *((MIDDLE, INNER), (INNER, MIDDLE)),
    *((region, region) for region in (CENTRE, BEGIN, END, INNER)),
)
"""Pairs of regions that may show the same if either is an altered copy of the other."""

VERSION = b"\x05"
"""First byte of a `phashes` value."""

_MIN_CONTRAST = 4.0
"""Standard deviation of brightness (of 255) below which a picture counts as flat."""

_CORNER = 8
"""Size of a corner, of 32 rows and columns: what is only in a corner, as a channel's logo, identifies no picture."""

_CROSS = np.ones((32, 32), np.float32)
for _rows in (slice(0, _CORNER), slice(32 - _CORNER, 32)):
    for _columns in (slice(0, _CORNER), slice(32 - _CORNER, 32)):
        _CROSS[_rows, _columns] = 0
_WEIGHTS = np.stack([np.ones(1024, np.float32), _CROSS.reshape(-1)], axis=1)
_WEIGHTS /= _WEIGHTS.sum(axis=0)
"""Weights of the means over the whole picture, and over all of it but the corners."""

_COSINES = np.cos(np.pi / 64 * np.outer(np.arange(8), 2 * np.arange(32) + 1)) / 4
_COSINES[0] /= np.sqrt(2)
_COSINES = _COSINES.astype(np.float32)
"""The eight lowest frequencies of the cosine transform of 32 values."""

_TURNED_BITS = np.uint64(0x5555555555555555)
"""Bits of the odd horizontal frequencies: those coefficients change their sign in a mirrored picture."""

_OF_ONE_BRIGHTNESS = 16
"""A row or column whose brightest and darkest pixel are no further apart belongs to a bar."""

_MIDDLE_SHARE, _INNER_SHARE = 0.86, 0.72
_CUT_SHARE = 1 / 8
"""Share of the shorter side; near enough to crops of 10 and of 15 %."""
_STRIP_SHAPE = 9 / 16
_SIDE = 32
"""Rows and columns that a region is scaled to, of the mean brightness of each; also the steps in which OpenCV's `remap`
reads between pixels, so that what it gives here is exact."""

_REPEATED = 2
"""A picture whose hash differs from that before in at most this many bits shows the same."""

Hashes = NDArray[np.uint64]
PictureHashes = tuple[int, ...]
"""The N_HASHES hashes of a picture."""


def phash(luma: NDArray[np.uint8]) -> int:
    """The hash of a picture's brightness (height x width, uint8) as a 64-bit number; NOTHING for a flat picture."""
    return _hashes_of([luma], WHOLE, WHOLE + 1)[0]


_AT_ONCE = 32
"""Pictures that wait to be hashed together: alone, between large ones that are decoded, each would find neither code
nor tables in the processor's cache."""


class ClipHashes:
    """The hashes of a clip's pictures, in order; a picture that shows the same as its predecessor is left out."""

    def __init__(self) -> None:
        self._pictures: list[PictureHashes] = []
        self._waiting: list[NDArray[np.uint8]] = []

    def add(self, luma: NDArray[np.uint8]) -> None:
        """Takes the next picture's brightness, which is to stay as it is."""
        self._waiting.append(luma)
        if len(self._waiting) >= _AT_ONCE:
            self.finish()

    def packed(self) -> bytes:
        """The hashes in the form of column `phashes`."""
        self.finish()
        return pack_hashes(self._pictures)

    def finish(self) -> None:
        """Hashes the pictures that wait and lets them go: the whole of each, and the regions of those that are new."""
        lumas, self._waiting = self._waiting, []
        pictures = [_without_bars(luma) for luma in lumas]
        wholes, new = _hashes_of(pictures, WHOLE, WHOLE + 1), list[int]()
        before = self._pictures[-1][WHOLE] if self._pictures else NOTHING
        for i, whole in enumerate(wholes):
            if whole == NOTHING or (before != NOTHING and (whole ^ before).bit_count() <= _REPEATED):
                continue
            before = whole
            new.append(i)
        regions = _hashes_of([pictures[i] for i in new], WHOLE + 1, CENTRE)
        centres = _hashes_of([lumas[i] for i in new], CENTRE, N_HASHES)
        n = CENTRE - WHOLE - 1
        self._pictures += [(wholes[i], *regions[k * n : (k + 1) * n], centres[k]) for k, i in enumerate(new)]


def _hashes_of(pictures: list[NDArray[np.uint8]], first: int, last: int) -> list[int]:
    """The hashes of regions `first` to `last` - 1 of each picture, picture by picture."""
    if not pictures:
        return []
    return _hashes(np.concatenate([_scaled(_sums(picture), first, last) for picture in pictures]))


def _hashes(small: NDArray[np.float32]) -> list[int]:
    """The hashes of regions that are scaled: n x _SIDE x _SIDE."""
    low = (_COSINES @ small @ _COSINES.T).reshape(len(small), 64)
    middle = np.partition(low, (31, 32), axis=1)[:, 31:33]
    median = (middle[:, :1] + middle[:, 1:]) / 2
    bits = np.packbits(low > median, axis=1)
    flat = small.reshape(len(small), -1)
    variance = ((flat * flat) @ _WEIGHTS - (flat @ _WEIGHTS) ** 2).min(axis=1)  # also small where flat but for a corner
    return [
        int.from_bytes(row.tobytes(), "big") if shows else NOTHING
        for row, shows in zip(bits, variance >= _MIN_CONTRAST**2, strict=True)
    ]


Box = tuple[int, int, int, int]
"""A region of a picture: its first row, how many rows, its first column, how many columns."""


def _boxes(height: int, width: int) -> list[Box]:
    """The regions of a picture of this size, in the order of the columns."""
    if height > width:
        return [(top, rows, left, columns) for left, columns, top, rows in _boxes(width, height)]
    strip, cut = round(height * _STRIP_SHAPE), round(height * _CUT_SHARE)
    return [
        (0, height, 0, width),
        _inner(height, width, _MIDDLE_SHARE),
        _inner(height, width, _INNER_SHARE),
        (0, height, 0, height),
        (0, height, width - height, height),
        (cut, height - cut, 0, width),
        (0, height - cut, 0, width),
        (0, height, (width - strip) // 2, strip),
    ]


def _inner(height: int, width: int, share: float) -> Box:
    """The middle of a picture with this share of each side."""
    down, right = (round(side * (1 - share) / 2) for side in (height, width))
    return down, height - 2 * down, right, width - 2 * right


def _sums(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of each corner between pixels, the sum of all brightness above it and left of it."""
    return np.asarray(cv2.integral(luma, sdepth=cv2.CV_64F), np.float64)


def _scaled(sums: NDArray[np.float64], first: int, last: int) -> NDArray[np.float32]:
    """Regions `first` to `last` - 1 of a picture at _SIDE x _SIDE: means over areas, pixels at their edges in shares.

    A sum up to a place inside a pixel is the mean of those at its corners, weighted by distance, so each area costs
    four readings whatever its size. The weights are binary fractions and the sums whole: nothing is rounded before the
    end, and the result is the same on every machine.
    """
    corners, between, pixels = _grid(sums.shape[0] - 1, sums.shape[1] - 1, first, last)
    read = cv2.remap(sums, corners, between, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lines = np.diff(np.asarray(read, np.float64).reshape(-1, _SIDE + 1, _SIDE + 1), axis=1)
    return np.rint(np.diff(lines, axis=2) / pixels).astype(np.float32)


@lru_cache(maxsize=16)
def _grid(
    height: int, width: int, first: int, last: int
) -> tuple[NDArray[np.int16], NDArray[np.uint16], NDArray[np.float64]]:
    """Where the sums of a picture of this size are read, as `remap` wants it, and the size of each area, pixels."""
    boxes = _boxes(height, width)[first:last]
    line = np.arange(_SIDE + 1)
    rows = np.stack([top * _SIDE + line * n_rows for top, n_rows, _, _ in boxes])[:, :, None]
    columns = np.stack([left * _SIDE + line * n_columns for _, _, left, n_columns in boxes])[:, None, :]
    corners = np.stack(np.broadcast_arrays(columns // _SIDE, rows // _SIDE), axis=-1).reshape(-1, _SIDE + 1, 2)
    between = (rows % _SIDE * _SIDE + columns % _SIDE).reshape(-1, _SIDE + 1)
    pixels = np.array([n_rows * n_columns / _SIDE**2 for _, n_rows, _, n_columns in boxes])[:, None, None]
    return corners.astype(np.int16), between.astype(np.uint16), pixels


def _without_bars(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What lies inside bars of one brightness at the sides, black or not; all of it if that is too little."""
    if all(np.ptp(edge) > _OF_ONE_BRIGHTNESS for edge in (luma[0], luma[-1], luma[:, 0], luma[:, -1])):
        return luma
    rows = np.flatnonzero(np.ptp(luma, axis=1) > _OF_ONE_BRIGHTNESS)
    if not rows.size:
        return luma
    inside = luma[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(np.ptp(inside, axis=0) > _OF_ONE_BRIGHTNESS)
    if rows.size < _SIDE or columns.size < _SIDE:
        return luma
    return inside[:, columns[0] : columns[-1] + 1]


def pack_hashes(pictures: Iterable[PictureHashes]) -> bytes:
    """Encodes hashes for column `phashes`: VERSION, then N_HASHES of 8 bytes per picture, big-endian."""
    return VERSION + b"".join(value.to_bytes(HASH_BYTES, "big") for hashes in pictures for value in hashes)


def unpack_all(values: Iterable[bytes]) -> tuple[Hashes, NDArray[np.int64]]:
    """Decodes N `phashes` values: (hashes, pictures x N_HASHES, value after value; [N] number of pictures of each).

    One of another version has none: its hashes are of other regions.
    """
    bodies = [value[len(VERSION) :] if value.startswith(VERSION) else b"" for value in values]
    counts = np.array([len(body) for body in bodies], np.int64) // (N_HASHES * HASH_BYTES)
    return np.frombuffer(b"".join(bodies), ">u8").astype(np.uint64).reshape(-1, N_HASHES), counts


def show_something(hashes: Hashes) -> NDArray[np.bool_]:
    """[N] whether a picture shows anything to recognise it by."""
    return np.asarray((hashes[:, :2] != NOTHING).all(axis=1))


def unpack_hashes(packed: bytes) -> Hashes:
    """The hashes of a `phashes` value, pictures x N_HASHES, without pictures that show nothing."""
    hashes, _ = unpack_all([packed])
    return hashes[show_something(hashes)]


def mirrored(hashes: Hashes) -> Hashes:
    """The hashes of the mirrored pictures, accurate to within a few bits.

    Cosines of odd frequency change their sign, and the median that they are compared with is near 0.
    """
    return np.asarray(np.where(hashes == NOTHING, np.uint64(NOTHING), hashes ^ _TURNED_BITS))


def mirrored_pictures(hashes: Hashes) -> Hashes:
    """Like `mirrored`, for pictures x N_HASHES: the squares at the two ends also change places."""
    return mirrored(hashes)[:, [WHOLE, MIDDLE, INNER, END, BEGIN, BUT_BEGIN, BUT_END, CENTRE]]

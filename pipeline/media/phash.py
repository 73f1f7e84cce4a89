"""Perceptual hash of a picture: 64 bits that differ in few places where two pictures show the same.

The DCT hash known as pHash: brightness at 32 x 32, the 8 x 8 lowest frequencies of its cosine transform, a bit for
each that is above their median. Six lines here rather than a library that brings SciPy and wavelets along;
a test holds them against ImageHash.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

HASH_BYTES = 8
NOTHING = 0
"""The hash of a picture that shows nothing to recognise it by (black, white, a flat colour)."""

_MIN_CONTRAST = 4.0
"""Standard deviation of brightness (of 255) below which a picture shows nothing."""

_CORNER = 8
"""Of 32 rows and columns: what stands in a corner of this size, as a channel's logo does, identifies no picture."""

_CROSS = np.ones((32, 32), bool)
for _rows in (slice(0, _CORNER), slice(32 - _CORNER, 32)):
    for _columns in (slice(0, _CORNER), slice(32 - _CORNER, 32)):
        _CROSS[_rows, _columns] = False

_TURNED_BITS = np.uint64(0x5555555555555555)
"""Bits of the odd horizontal frequencies: in a mirrored picture those coefficients have the other sign."""

_BLACK = 30
_MIDDLE_MARGIN = 0.06
"""Share of each side that the hash of the middle leaves out: it answers for copies that were cropped."""

Hashes = NDArray[np.uint64]


def phash(luma: NDArray[np.uint8]) -> int:
    """The hash of a picture's brightness (height x width, uint8) as a 64-bit number; NOTHING where it shows nothing."""
    small = cv2.resize(luma, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    if float(small.std()) < _MIN_CONTRAST or float(small[_CROSS].std()) < _MIN_CONTRAST:
        return NOTHING  # flat, or flat but for what stands in a corner
    low = cv2.dct(small)[:8, :8]
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits.reshape(-1)).tobytes(), "big")


def picture_hashes(luma: NDArray[np.uint8]) -> tuple[int, int]:
    """(hash of the picture without black bars, hash of its middle)."""
    picture = _without_bars(luma)
    height, width = picture.shape
    down, right = round(height * _MIDDLE_MARGIN), round(width * _MIDDLE_MARGIN)
    middle = np.ascontiguousarray(picture[down : height - down, right : width - right])
    return phash(picture), phash(middle)


def _without_bars(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = np.flatnonzero(luma.max(axis=1) > _BLACK)
    columns = np.flatnonzero(luma.max(axis=0) > _BLACK)
    if rows.size < 32 or columns.size < 32:
        return luma
    return np.ascontiguousarray(luma[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def pack_hashes(hashes: list[tuple[int, int]]) -> bytes:
    """Hashes as the column `phashes` holds them: for each picture two, of 8 bytes each, big-endian."""
    return b"".join(value.to_bytes(HASH_BYTES, "big") for pair in hashes for value in pair)


def unpack_all(packed: bytes) -> Hashes:
    """The hashes of `phashes` values, pictures x 2, one value after the other."""
    return np.frombuffer(packed, ">u8").astype(np.uint64).reshape(-1, 2)


def show_something(hashes: Hashes) -> NDArray[np.bool_]:
    """[N] whether a picture shows anything that it could be known by."""
    return np.asarray((hashes != NOTHING).all(axis=1))


def unpack_hashes(packed: bytes) -> Hashes:
    """The hashes of a `phashes` value, pictures x 2; pictures that show nothing are left out."""
    hashes = unpack_all(packed)
    return hashes[show_something(hashes)]


def mirrored(hashes: Hashes) -> Hashes:
    """The hashes that the same pictures have when left and right are exchanged, within a few bits.

    A cosine of odd frequency changes its sign, and the median that it is compared with lies near 0.
    """
    return np.asarray(hashes ^ _TURNED_BITS)


def distances(hashes: Hashes, others: Hashes) -> NDArray[np.uint8]:
    """Number of differing bits of each of `hashes` [N] with each of `others` [M]: [N, M]."""
    return np.asarray(np.bitwise_count(hashes[:, None] ^ others[None, :]))

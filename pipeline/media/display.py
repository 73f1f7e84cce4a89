"""How a decoded frame is to be displayed: its display matrix, if it has one.

PyAV gives the matrix's rotation alone, which is 180 degrees for a picture that is mirrored.
"""

from __future__ import annotations

import struct
from typing import Any

_ASKEW = 0.01
"""How much of the matrix may lie off its two axes: encoders round."""


def is_turned_by_quarters(picture: Any) -> bool:
    """Whether a frame is displayed as it is, or turned by a multiple of 90 degrees; not if it is mirrored or askew."""
    a, b, c, d = _matrix(picture)
    return a * d - b * c > 0 and min(abs(a), abs(b)) <= _ASKEW * max(abs(a), abs(b))


def _matrix(picture: Any) -> tuple[int, int, int, int]:
    """(a, b, c, d) of x' = ax + cy and y' = bx + dy, as FFmpeg stores it: nine numbers, row by row."""
    data = picture.side_data.get("DISPLAYMATRIX")  # PyAV 19 goes through the types, earlier ones through the data
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    return a, b, c, d

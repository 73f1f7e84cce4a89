"""Tells which decoded frames repeat the frame before, as most of a lecture's do, so that they are looked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.media.planes import some_luma

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.media.frames import Picture, Small

_EVERY = 16
"""Every so many rows are compared."""

_FEW_BYTES, _PIXELS_A_BYTE = 64, 25_600
"""A packet has few bytes if it has no more than this and one more for each 100 macroblocks. Packets of frames that
repeat have 35 to 51 bytes at 720p and mostly 67 to 77 at 1080p (H.264, three of the sample films)."""


class Repeats:
    """Looks through consecutive frames for those that show what the frame before them does.

    A frame repeats its predecessor if its packet has next to no bytes and the brightness of every 16th row equals that
    of the last frame that repeats none. What differs elsewhere alone, and takes no bytes, is seen with the next frame
    that does: comparing all pixels costs as much as it saves. Frames whose packets have more bytes aren't compared, nor
    those of more than 8 bits.
    """

    def __init__(self, width: int, height: int) -> None:
        self._few_bytes = _FEW_BYTES + width * height // _PIXELS_A_BYTE
        self._shown: Any = None
        self._small: Small | None = None
        self._rows: NDArray[np.uint8] | None = None

    def small_of(self, picture: Picture, make: Callable[[Picture], Small]) -> Small:
        """The small copy of the next frame, by `make`; that of the frame before, where it repeats that."""
        if not self.is_repeat(picture) or self._small is None:
            self._small = make(picture)
        return self._small

    def is_repeat(self, picture: Picture) -> bool:
        """Whether the next frame repeats the last."""
        if self._shown is not None and 0 <= picture.packet_bytes <= self._few_bytes and self._is_equal(picture.frame):
            return True
        self._shown, self._rows = picture.frame, None
        return False

    def _is_equal(self, frame: Any) -> bool:
        rows = some_luma(frame, _EVERY)
        shown = some_luma(self._shown, _EVERY) if self._rows is None else self._rows
        if rows is None or shown is None or rows.shape != shown.shape:
            return False
        middle = len(rows) // 2
        if (rows[middle : middle + 1] != shown[middle : middle + 1]).any():
            return False  # seen at once in most frames that differ
        if self._rows is None:
            self._rows = shown.copy()  # so they lie close together, and stay in the cache
        return not (rows != self._rows).any()

"""What several checks need to know of a clip's pictures, measured in one pass.

Picture area. Rows and columns at the border that stay black through the clip are bars. What is left has to be 720p
itself: a small picture in a black frame (a 480-line film in the middle of a 720-line one) is a reject. Bars around a
picture that is 720 lines high or 1280 wide (4:3, letterboxed) only flag it: most such uploads are old material
stretched to 720 lines, but the picture can't prove it. A measure of fine detail can't either: on the samples, the
power in the highest spatial frequencies of true 720p and of 480 lines stretched to it overlap, since compression
noise fills them.

Motion. The median change of brightness over half a second: still pictures and slide shows are near 0, since most of
their pairs are equal, however large the jumps between slides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.media.probe import VideoTrack

LOOK_EVERY_MS = 500
"""Pictures this far apart are looked at and compared."""

_BLACK = 30
"""Brightness up to which a border may be a bar: black is 16, and encoders leave noise."""

_SAMPLED = 3
"""Of a row, each third pixel tells whether it is black; and so of a column."""

_DARK_MEAN = 34.0
"""Pictures darker than this on average don't tell bars from night."""


@dataclass(slots=True)
class Look:
    """The measures of a clip's pictures, taken in one pass; brightness comes as height x width uint8."""

    row_max: NDArray[np.uint8] | None = None
    column_max: NDArray[np.uint8] | None = None
    changes: list[float] = field(default_factory=list)
    longest_gap_ms: int = 0
    n_frames: int = 0
    _next_ms: int = 0
    _last_ms: int = 0
    _before: NDArray[np.int16] | None = None

    def time(self, clip_ms: int) -> bool:
        """Counts a frame at this time of the clip; returns whether it is to be measured."""
        self.longest_gap_ms = max(self.longest_gap_ms, clip_ms - self._last_ms)
        self._last_ms = clip_ms
        self.n_frames += 1
        if clip_ms < self._next_ms:
            return False
        self._next_ms = (clip_ms // LOOK_EVERY_MS + 1) * LOOK_EVERY_MS
        return True

    def add(self, luma: NDArray[np.uint8]) -> None:
        """A small picture of the clip."""
        if float(luma.mean()) > _DARK_MEAN:
            self.row_max = _greater(self.row_max, _bright(luma[:, ::_SAMPLED]))
            self.column_max = _greater(self.column_max, _bright(luma[::_SAMPLED].T))
        coarse = luma[::2, ::2].astype(np.int16)
        if self._before is not None:
            self.changes.append(float(np.abs(coarse - self._before).mean()))
        self._before = coarse

    def close(self, duration_ms: int) -> None:
        """The clip ends: the time after its last frame counts as a gap."""
        self.longest_gap_ms = max(self.longest_gap_ms, duration_ms - self._last_ms)

    @property
    def motion(self) -> float:
        """Median change of brightness over half a second, of 255; -1 where there was no pair to compare."""
        return round(float(np.median(self.changes)), 3) if self.changes else -1.0


def _bright(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The brightness that 2 % of each row's pixels exceed."""
    index = int(0.98 * (rows.shape[1] - 1))
    return np.partition(np.ascontiguousarray(rows), index, axis=1)[:, index]


def _greater(so_far: NDArray[np.uint8] | None, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return values if so_far is None else np.maximum(so_far, values)


def picture_size(look: Look, video: VideoTrack) -> tuple[int, int]:
    """(width, height) of the displayed picture without black bars; all of it where that can't be told."""
    if look.row_max is None or look.column_max is None:
        return video.width, video.height
    rows, columns = _inside(look.row_max), _inside(look.column_max)
    if rows is None or columns is None:
        return video.width, video.height
    return _scaled(columns, look.column_max.size, video.width), _scaled(rows, look.row_max.size, video.height)


def _inside(brightest: NDArray[np.uint8]) -> int | None:
    """Length from the first to the last row (column) that isn't black; None where all are."""
    bright = np.flatnonzero(brightest > _BLACK)
    return int(bright[-1] - bright[0] + 1) if bright.size else None


def _scaled(inside: int, small: int, full: int) -> int:
    """Pixels of the full picture; a border of one small pixel is within the precision and counts as picture."""
    return full if inside >= small - 2 else round((inside + 1) * full / small)

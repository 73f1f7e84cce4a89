"""What several checks need to know of a clip's frames, measured in one pass.

Picture area. Rows and columns at the border that stay black through the clip are bars. What is left inside them has to
be 720p itself: a small picture in a black frame (480 lines in the middle of 720) is a reject. Bars around a picture
that is 720 lines high or 1280 wide (4:3, letterboxed) only flag it: most such uploads are old material stretched to 720
lines, but the picture can't prove it. A measure of fine detail can't either: on the samples, the power in the highest
spatial frequencies of true 720p and of 480 lines stretched to it overlap, since compression noise fills them.

Motion. The median change of brightness over half a second. Still pictures and slide shows are near 0: most pairs of
frames are equal, however large the jumps between slides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.media.probe import VideoTrack

LOOK_EVERY_MS = 500
"""Interval between the frames that are measured and compared."""

_BLACK = 30
"""Brightness up to which a border may be a bar: black is 16, and encoders leave noise."""

_SAMPLED = 3
"""Every third pixel of a row (and of a column) is read to tell whether it is black."""

_DARK_MEAN = 34.0
"""In frames with a mean brightness below this, bars cannot be told from a dark scene."""


@dataclass(slots=True)
class Look:
    """The measures of a clip's frames, taken in one pass; brightness comes as height x width uint8."""

    row_max: NDArray[np.uint8] | None = None
    column_max: NDArray[np.uint8] | None = None
    changes: list[float] = field(default_factory=list)
    longest_gap_ms: int = 0
    n_frames: int = 0
    _next_ms: int = 0
    _last_ms: int = 0
    _before: NDArray[np.int16] | None = None

    def time(self, clip_ms: int) -> bool:
        """Counts the frame at this time of the clip; returns whether it is to be measured."""
        self.longest_gap_ms = max(self.longest_gap_ms, clip_ms - self._last_ms)
        self._last_ms = clip_ms
        self.n_frames += 1
        if clip_ms < self._next_ms:
            return False
        self._next_ms = (clip_ms // LOOK_EVERY_MS + 1) * LOOK_EVERY_MS
        return True

    def add(self, luma: NDArray[np.uint8]) -> None:
        """Measures a small frame of the clip, given its brightness."""
        if float(luma.mean()) > _DARK_MEAN:
            self.row_max = _greater(self.row_max, _bright(luma[:, ::_SAMPLED]))
            self.column_max = _greater(self.column_max, _bright(luma[::_SAMPLED].T))
        coarse = luma[::2, ::2].astype(np.int16)
        if self._before is not None:
            self.changes.append(float(np.abs(coarse - self._before).mean()))
        self._before = coarse

    def close(self, duration_ms: int) -> None:
        """Ends the clip: the time after its last frame counts as a gap."""
        self.longest_gap_ms = max(self.longest_gap_ms, duration_ms - self._last_ms)

    @property
    def motion(self) -> float:
        """Median change of brightness over half a second, of 255; -1 where there was no pair to compare."""
        return round(float(np.median(self.changes)), 3) if self.changes else -1.0


def _bright(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For each row, the brightness that 2 % of its pixels exceed."""
    index = int(0.98 * (rows.shape[1] - 1))
    return np.partition(np.ascontiguousarray(rows), index, axis=1)[:, index]


def _greater(so_far: NDArray[np.uint8] | None, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return values if so_far is None else np.maximum(so_far, values)


def picture_size(look: Look, video: VideoTrack) -> tuple[int, int]:
    """(width, height) of the displayed picture without black bars; the full size where bars cannot be measured."""
    if look.row_max is None or look.column_max is None:
        return video.width, video.height
    rows, columns = _inside(look.row_max), _inside(look.column_max)
    if rows is None or columns is None:
        return video.width, video.height
    return _scaled(columns, look.column_max.size, video.width), _scaled(rows, look.row_max.size, video.height)


def _inside(brightest: NDArray[np.uint8]) -> int | None:
    """Length from the first to the last row (column) that isn't black; None where all are black."""
    bright = np.flatnonzero(brightest > _BLACK)
    return int(bright[-1] - bright[0] + 1) if bright.size else None


def _scaled(inside: int, small: int, full: int) -> int:
    """Scales a length to pixels of the full picture; a border of up to two small pixels is measurement error."""
    return full if inside >= small - 2 else round((inside + 1) * full / small)

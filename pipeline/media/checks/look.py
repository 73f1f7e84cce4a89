"""What several checks need to know of a clip's frames, measured in one pass.

Picture area. Rows and columns at the border that stay black through the clip are bars. What is left inside them has to
be 720p itself: a small picture in a black frame (480 lines in the middle of 720) is a reject. Bars around a picture
that is 720 lines high or 1280 wide (4:3, letterboxed) only flag it: most such uploads are old material stretched to 720
lines, but the picture can't prove it. A measure of fine detail can't either: on the samples, the power in the highest
spatial frequencies of true 720p and of 480 lines stretched to it overlap, since compression noise fills them.

Motion. How far parts of the picture move in half a second (dense optical flow, DIS: Kroeger et al., 2016), the median
of all pairs of frames. Still pictures and slide shows are near 0: most pairs are equal, however large the jumps between
slides. The change of brightness depends on the bit rate more than on the scene.
"""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.streams import VideoTrack

LOOK_EVERY_MS = 500
"""Interval between the frames that are measured and compared."""

_BLACK = 30
"""Brightness up to which a border may be a bar: black is 16, and encoders leave noise."""

_SAMPLED = 3
"""Every third pixel of a row (and of a column) is read to tell whether it is black."""

_DARK_MEAN = 34.0
"""In frames with a mean brightness below this, bars cannot be told from a dark scene."""


_LEAST_CHANGE = 8
"""Two pictures show the same if no pixel changes by more than this: encoders leave noise, in black most of all."""

_LEAST_SIDE = 32
"""Pixels. OpenCV chooses by the width how often it halves a picture, and reads beyond the edges of one with few rows:
small ones aren't measured (films have 90), and wide ones are laid on their side."""

_FARTHEST = 10.0
"""A pixel that moves farther counts as this, % of the short side: so far nothing is found again, and what is said of it
differs from encoding to encoding."""


def _new_flow() -> Any:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)


@dataclass(slots=True)
class Look:
    """The measures of a clip's frames, taken in one pass; brightness comes as height x width uint8."""

    row_shows: NDArray[np.bool_] | None = None
    """Of each row, whether it was bright in any picture; None before the first that tells."""
    column_shows: NDArray[np.bool_] | None = None
    moves: list[float] = field(default_factory=list)
    longest_gap_ms: int = 0
    n_frames: int = 0
    _next_ms: int = 0
    _last_ms: int = 0
    _before: NDArray[np.uint8] | None = None
    _flow: Any = field(default_factory=_new_flow)

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
        if mean_of(luma) > _DARK_MEAN:
            is_bright = luma > _BLACK
            self.row_shows = _either(self.row_shows, _mostly(is_bright[:, ::_SAMPLED], axis=1))
            self.column_shows = _either(self.column_shows, _mostly(is_bright[::_SAMPLED], axis=0))
        coarse = np.asarray(cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        if self._before is not None:
            self.moves.append(_moves(self._flow, self._before, coarse))
        self._before = coarse

    def close(self, duration_ms: int) -> None:
        """Ends the clip: the time after its last frame counts as a gap."""
        self.longest_gap_ms = max(self.longest_gap_ms, duration_ms - self._last_ms)

    @property
    def motion(self) -> float:
        """How far a pixel moves in half a second on average, % of the short side. Of all pairs of pictures the
        median; -1 without any."""
        return round(float(np.median(self.moves)), 2) if self.moves else -1.0


def mean_of(luma: NDArray[Any]) -> float:
    """Mean value, of brightness exact: the sum is a whole number. NumPy's mean takes six times as long."""
    return cv2.sumElems(luma)[0] / luma.size


def _moves(flow: Any, before: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
    """How far a pixel moves from one picture to the next on average, % of the short side."""
    if cv2.norm(before, now, cv2.NORM_INF) <= _LEAST_CHANGE or min(now.shape) < _LEAST_SIDE:
        return 0.0
    if now.shape[1] > 2 * now.shape[0]:
        before, now = (np.ascontiguousarray(picture.T) for picture in (before, now))
    across, down = cv2.split(flow.calc(before, now, None))
    far = cv2.magnitude(across, down) * (100 / min(now.shape))
    return mean_of(np.minimum(far, _FARTHEST))


def _mostly(is_bright: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Whether more than 2 % of the pixels along an axis are bright: a bar holds the edge of a logo, or noise."""
    length = is_bright.shape[axis]
    return np.asarray(np.count_nonzero(is_bright, axis=axis) >= length - int(0.98 * (length - 1)))


def _either(so_far: NDArray[np.bool_] | None, now: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return now if so_far is None else so_far | now


def picture_size(look: Look, video: VideoTrack) -> tuple[int, int]:
    """(width, height) of the displayed picture without black bars; the full size where bars cannot be measured."""
    if look.row_shows is None or look.column_shows is None:
        return video.width, video.height
    rows, columns = _inside(look.row_shows), _inside(look.column_shows)
    if rows is None or columns is None:
        return video.width, video.height
    return _scaled(columns, look.column_shows.size, video.width), _scaled(rows, look.row_shows.size, video.height)


def _inside(shows: NDArray[np.bool_]) -> int | None:
    """Length from the first to the last row (column) that isn't black; None where all are black."""
    bright = np.flatnonzero(shows)
    return int(bright[-1] - bright[0] + 1) if bright.size else None


def _scaled(inside: int, small: int, full: int) -> int:
    """Scales a length to pixels of the full picture; a border of up to two small pixels is measurement error."""
    return full if inside >= small - 2 else round((inside + 1) * full / small)

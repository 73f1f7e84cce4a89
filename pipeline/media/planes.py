"""The bytes of frames as arrays, without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def luma_of(small: Any) -> NDArray[np.uint8]:
    """The brightness of a yuv420p frame: height x width, uint8, as a view."""
    return plane_values(small.planes[0])


def chroma_of(small: Any) -> NDArray[np.uint8]:
    """The chroma of a yuv420p frame: 2 (Cb, Cr) x half the height x half the width, uint8; 128 is grey."""
    import numpy as np  # heavy, and not needed for clips alone

    return np.stack([plane_values(plane) for plane in small.planes[1:]])


_COLOUR_ROWS, _COLOUR_COLUMNS = 9, 16
_PLAIN_CHROMA = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")


def some_chroma(frame: Any) -> NDArray[np.uint8] | None:
    """The chroma of a few pixels of a decoded frame: 2 x 9 x 16, uint8; None if not 8-bit in planes, or smaller."""
    import numpy as np  # heavy, and not needed for clips alone

    if frame.format.name not in _PLAIN_CHROMA:
        return None
    plane = frame.planes[1]
    down, right = plane.height // _COLOUR_ROWS, plane.width // _COLOUR_COLUMNS
    if not down or not right:
        return None
    shape, strides = (_COLOUR_ROWS, _COLOUR_COLUMNS), (down * plane.line_size, right)
    first = down // 2 * plane.line_size + right // 2
    return np.stack([np.ndarray(shape, np.uint8, plane, first, strides) for plane in frame.planes[1:3]])


_PLAIN_LUMA = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray")


def luma_plane(frame: Any) -> NDArray[np.uint8] | None:
    """A decoded frame's brightness as stored (height x width, not rotated), as a view; None if not 8-bit."""
    return plane_values(frame.planes[0]) if frame.format.name in _PLAIN_LUMA else None


def plane_values(plane: Any) -> NDArray[np.uint8]:
    """The bytes of a plane as a view, height x width."""
    import numpy as np  # heavy, and not needed for clips alone

    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def some_luma(frame: Any, every: int) -> NDArray[np.uint8] | None:
    """The brightness of every so many rows of a decoded frame, as a view; None if not 8-bit."""
    import numpy as np  # heavy, and not needed for clips alone

    if frame.format.name not in _PLAIN_LUMA:
        return None
    plane = frame.planes[0]
    shape, strides = (plane.height // every, plane.width), (every * plane.line_size, 1)
    return np.ndarray(shape, np.uint8, plane, every // 2 * plane.line_size, strides)

"""Converts YUV frames from any matrix and range to BT.601, limited range: an affine map of three values per pixel.

libswscale goes by way of RGB: three times the cost where it rounds well, errors of two levels where it does not.
"""

from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.colour import BT470BG, BT709, BT2020, FCC, FULL, LIMITED, RGB, SMPTE170M, SMPTE240M, Colour
from pipeline.media.planes import plane_values

Values = NDArray[np.uint8]

_KR_KB = {
    BT709: (0.2126, 0.0722),
    FCC: (0.30, 0.11),
    BT470BG: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087),
    BT2020: (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by matrix code (ITU-T H.273, table 4)."""


def _rgb_of_ycc(matrix: int) -> NDArray[np.float64]:
    """The matrix that gives R, G, B from Y in [0, 1] and Cb, Cr in [-0.5, 0.5]."""
    kr, kb = _KR_KB[matrix]
    kg = 1 - kr - kb
    return np.array([[1, 0, 2 * (1 - kr)], [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg], [1, 2 * (1 - kb), 0]])


class To601:
    """Converts yuv420p frames from a source's colours to BT.601, limited range; frames already in it are unchanged."""

    def __init__(self, colour: Colour) -> None:
        matrix = colour.matrix if colour.matrix in _KR_KB else BT2020  # 10 is BT.2020 with constant luminance
        matrix = SMPTE170M if colour.matrix == RGB else matrix  # libswscale makes BT.601 of RGB
        luma, chroma = (255, 255) if colour.range_ == FULL else (219, 224)
        self._floor = 0 if colour.range_ == FULL else 16
        self.is_needed = _KR_KB[matrix] != _KR_KB[SMPTE170M] or colour.range_ == FULL
        both = np.linalg.inv(_rgb_of_ycc(SMPTE170M)) @ _rgb_of_ycc(matrix)
        self._map = np.diag([219, 224, 224]) @ both @ np.diag([1 / luma, 1 / chroma, 1 / chroma])

    def __call__(self, frame: Any) -> Any:
        """Returns the converted frame, of the same size, without times."""
        if not self.is_needed:
            return frame
        out = av.VideoFrame(frame.width, frame.height, "yuv420p")
        luma, cb, cr = (plane_values(plane) for plane in frame.planes)
        to = [plane_values(plane) for plane in out.planes]
        self._luma(luma, cb, cr, to[0])
        for row in (1, 2):
            self._mixed(row, cb, cr, to[row])
        out.colorspace, out.color_range = SMPTE170M, LIMITED
        return out

    def _luma(self, luma: Values, cb: Values, cr: Values, to: Values) -> None:
        """Writes the luma plane. Chroma's share is small, so it is doubled: rounding then costs 1/4 level at most."""
        scale = float(self._map[0, 0])
        shift = self._mixed(0, cb, cr, np.empty_like(cb), 2.0)
        shift = np.asarray(cv2.resize(shift, (luma.shape[1], luma.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
        cv2.addWeighted(luma, scale, shift, 0.5, 16 - self._floor * scale - 64, dst=to)

    def _mixed(self, row: int, cb: Values, cr: Values, to: Values, times: float = 1.0) -> Values:
        """Writes 128 + the row's weights on Cb and Cr (whose zero is 128), rounded and clipped to 8 bits."""
        a, b = times * float(self._map[row, 1]), times * float(self._map[row, 2])
        cv2.addWeighted(cb, a, cr, b, 128 - 128 * (a + b), dst=to)
        return to

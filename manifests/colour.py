"""How to interpret the numbers of a YUV frame: which matrix and range apply, whether a file states them or not.

Codes are those of ITU-T H.273 (tables 2 to 4), as in FFmpeg's AVColorSpace and AVColorRange. Both packages convert by
this rule, so that a still, a proxy and a clip show the same colours at the same time.
"""

from dataclasses import dataclass

RGB, BT709, UNSPECIFIED, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020 = 0, 1, 2, 4, 5, 6, 7, 9
"""Matrix codes. BT.601 has two: 5 (625 lines) and 6 (525 lines), with the same coefficients."""

LIMITED, FULL = 1, 2
"""AVColorRange: luma from 16 to 235, or from 0 to 255."""

_SWSCALE = {BT709: 1, FCC: 4, BT470BG: 5, SMPTE170M: 5, SMPTE240M: 7, BT2020: 9, 10: 9}
"""libswscale's number of each matrix (SWS_CS_*); 10 is BT.2020 with constant luminance, treated as usual."""


@dataclass(frozen=True, slots=True)
class Colour:
    """The colours of a video: `matrix` and `range_` as they apply, primaries and transfer as the file states them."""

    matrix: int = BT709
    range_: int = LIMITED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def swscale_matrix(self) -> int | None:
        """libswscale's number of the matrix; None for RGB, which needs none."""
        return _SWSCALE.get(self.matrix)


def colour_in_force(
    matrix: int, range_: int, width: int, height: int, *, primaries: int = UNSPECIFIED, transfer: int = UNSPECIFIED
) -> Colour:
    """The colours that apply, given what a stream states and its stored size in pixels.

    A stream that names no matrix is treated as players do: BT.709 from 1280 wide or above 576 lines, else BT.601. An
    unnamed range is limited.
    """
    stated = matrix == RGB or matrix in _SWSCALE
    guessed = BT709 if width >= 1280 or height > 576 else SMPTE170M
    return Colour(matrix if stated else guessed, FULL if range_ == FULL else LIMITED, primaries, transfer)

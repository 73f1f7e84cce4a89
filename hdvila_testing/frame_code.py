"""Burns a frame number into a picture, and reads it back after any cut, encode or down-scale.

The code is a strip of 2 x 12 black or white cells in the top left corner: a white and a black cell as references,
16 bits of number and 6 check bits (the CRC-6 of ITU-T G.704). Cells are 24 pixels wide if the picture's short side is
720 and scale with it, so that a 320x180 copy has cells of 6 pixels. Only a cell's middle is read, relative to the two
references, so that ringing, range and brightness don't matter; a picture that can't be read reliably gives None, never
a wrong number.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MAX_FRAME_NUMBER = (1 << 16) - 1
"""The greatest number that fits the code's 16 bits."""

_N_ROWS, _N_COLUMNS = 2, 12
_N_NUMBER_BITS, _N_CHECK_BITS = 16, 6
_CELL_PX = 24.0
"""Width of a cell if the picture's short side is 720."""
_MARGIN_PX = 8.0
"""The black margin around the strip, and the strip's distance from the picture's edge, at the same scale."""
_MIN_CONTRAST = 60.0
"""Smallest difference of the two reference cells, of 255, for a strip to count as present."""
_UNSURE_BAND = 0.2
"""A cell this close to the middle between black and white is unreadable (half width, as a share of the contrast)."""


def draw_frame_code(frame: NDArray[np.uint8], number: int) -> None:
    """Burns `number` into `frame` (uint8, H x W x 3 or H x W) in place.

    Raises ValueError if the number doesn't fit 16 bits or the picture is too small for the strip.
    """
    if not 0 <= number <= MAX_FRAME_NUMBER:
        raise ValueError(f"frame number {number} is not within 0..{MAX_FRAME_NUMBER}")
    x_edges, y_edges = _cell_edges(frame)
    if x_edges[-1] + x_edges[0] > frame.shape[1] or x_edges[1] - x_edges[0] < 3:
        raise ValueError(f"a picture of {frame.shape[1]}x{frame.shape[0]} has no room for a frame code")
    border = max(1, x_edges[0] // 2)
    frame[y_edges[0] - border : y_edges[-1] + border, x_edges[0] - border : x_edges[-1] + border] = 0
    bits = _code_bits(number)
    for row, (top, bottom) in enumerate(pairwise(y_edges)):
        for column, (left, right) in enumerate(pairwise(x_edges)):
            frame[top:bottom, left:right] = 255 if bits[row * _N_COLUMNS + column] else 0


def read_frame_code(frame: NDArray[np.uint8]) -> int | None:
    """Reads the number burned into `frame` (uint8, H x W x 3 or H x W); None if it can't be read reliably."""
    x_edges, y_edges = _cell_edges(frame)
    if x_edges[-1] > frame.shape[1] or y_edges[-1] > frame.shape[0] or x_edges[1] - x_edges[0] < 3:
        return None
    grey = frame.astype(np.float32)
    if grey.ndim == 3:
        grey = grey[: y_edges[-1], : x_edges[-1]].mean(axis=2)
    levels = [
        _middle_level(grey, top, bottom, left, right)
        for top, bottom in pairwise(y_edges)
        for left, right in pairwise(x_edges)
    ]
    white, black = levels[0], levels[1]
    if white - black < _MIN_CONTRAST:
        return None
    relative = [(level - black) / (white - black) for level in levels]
    if any(abs(value - 0.5) < _UNSURE_BAND for value in relative):
        return None
    return _number_of([value > 0.5 for value in relative])


def _cell_edges(frame: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Pixel edges of the cells: 13 in x and 3 in y, from the picture's short side."""
    scale = min(frame.shape[0], frame.shape[1]) / 720
    x_edges = [round((_MARGIN_PX + i * _CELL_PX) * scale) for i in range(_N_COLUMNS + 1)]
    y_edges = [round((_MARGIN_PX + i * _CELL_PX) * scale) for i in range(_N_ROWS + 1)]
    return x_edges, y_edges


def _middle_level(grey: NDArray[np.float32], top: int, bottom: int, left: int, right: int) -> float:
    """Mean brightness of a cell's middle: a third is left out on each side, where encoders ring."""
    trim_y, trim_x = (bottom - top) // 3, (right - left) // 3
    return float(grey[top + trim_y : bottom - trim_y, left + trim_x : right - trim_x].mean())


def _code_bits(number: int) -> list[bool]:
    """The strip's 24 cells for a number: white, black, 16 number bits, 6 check bits (most significant first)."""
    word = number << _N_CHECK_BITS | _check_bits(number)
    n_bits = _N_NUMBER_BITS + _N_CHECK_BITS
    return [True, False, *(bool(word >> (n_bits - 1 - i) & 1) for i in range(n_bits))]


def _number_of(bits: list[bool]) -> int | None:
    """The inverse of `_code_bits`; None if the references or the check bits are wrong."""
    word = 0
    for bit in bits[2:]:
        word = word << 1 | bit
    number = word >> _N_CHECK_BITS
    return number if bits == _code_bits(number) else None


def _check_bits(number: int) -> int:
    """CRC-6-ITU (x^6 + x + 1) of the number, started from ones so that an all-black strip is not a valid zero."""
    remainder = 0x3F
    for i in reversed(range(_N_NUMBER_BITS)):
        feedback = (remainder >> 5 & 1) ^ (number >> i & 1)
        remainder = (remainder << 1 & 0x3F) ^ (0x03 if feedback else 0)
    return remainder

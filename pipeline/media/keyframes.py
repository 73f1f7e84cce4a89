"""Which of an H.264 track's keyframes are whole pictures (ITU-T H.264, 7.3).

Encoders with intra refresh have no keyframes but the first: strips of each picture are coded anew, and points at which
one may begin are marked as keyframes, although decoding is right only a second or so later.
"""

import re
from collections.abc import Iterator
from typing import Any

_SLICE, _IDR = 1, 5
"""Types of NAL units that hold a picture, or a part of it."""

_INTRA = (2, 4)
"""Types of slices (modulo 5) that refer to no other picture: I and SI."""

_START_CODE = re.compile(rb"\x00\x00\x01")


class Keyframes:
    """What is seen of a track's keyframes on the way through its packets."""

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self._is_looked_at = context.codec.canonical_name == "h264"
        self._extradata: bytes = context.extradata or b""
        self.refresh = False
        """Whether any keyframe is no whole picture."""

    def see(self, packet: Any) -> None:
        """Takes the track's next packet."""
        if self._is_looked_at and packet.is_keyframe and not self.refresh:
            self.refresh = not is_whole(memoryview(packet), self._extradata)


def is_whole(keyframe: bytes | memoryview, extradata: bytes) -> bool:
    """Whether the picture in an H.264 packet marked as a keyframe refers to no other. `extradata`: the track's."""
    for unit in _units(keyframe, extradata):
        kind = unit[0] & 31
        if kind == _IDR:
            return True
        if kind == _SLICE and len(unit) > 2:
            bits = "".join(f"{byte:08b}" for byte in unit[1:17])
            _, rest = _unsigned(bits)  # the number of the slice's first macroblock
            return _unsigned(rest)[0] % 5 in _INTRA
    return True  # damaged: its decoder has the last word


def _units(packet: bytes | memoryview, extradata: bytes) -> Iterator[bytes]:
    """Yields the first bytes of each NAL unit, which follows a length (avcC) or a start code (Annex B)."""
    view = memoryview(packet)
    if extradata[:1] != b"\x01" or len(extradata) < 5:
        for start_code in _START_CODE.finditer(view):
            if start_code.end() < len(view):
                yield bytes(view[start_code.end() : start_code.end() + 17])
        return
    n_bytes, at = (extradata[4] & 3) + 1, 0
    while at + n_bytes < len(view):
        yield bytes(view[at + n_bytes : at + n_bytes + 17])
        at += n_bytes + int.from_bytes(view[at : at + n_bytes], "big")


def _unsigned(bits: str) -> tuple[int, str]:
    """(value, the bits after it) of a number in Exp-Golomb code; 0 where the bits end before it."""
    zeros = len(bits) - len(bits.lstrip("0"))
    code, rest = bits[zeros : 2 * zeros + 1], bits[2 * zeros + 1 :]
    return (int(code, 2) - 1 if code else 0), rest

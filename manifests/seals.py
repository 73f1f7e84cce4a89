"""Documents that carry their own checksum, so that a flipped or lost byte is noticed by whoever reads them.

A sealed document ends with a line of 32 blanks: the bits of its CRC-32, a space for 0 and a tab for 1. JSON, HTML and
Markdown mean the same with it. An editor may take the line away, or have text follow it: a document without one was
written by a person, and is read as it stands.
"""

import re
import zlib

_SEAL = re.compile(rb"(?:^|\n)([ \t]{32})\n$")
_CUT = re.compile(rb"\n[ \t]+\n?$")
"""What is left of a seal in a document whose end is lost."""


def sealed(document: bytes) -> bytes:
    """A document with its seal; its last line gets an end if it has none."""
    whole = document if document.endswith(b"\n") else document + b"\n"
    return whole + _blanks(whole) + b"\n"


def is_sealed(data: bytes) -> bool:
    """Whether a document has a seal that fits: it is byte for byte as `sealed` made it."""
    seal = _SEAL.search(data)
    return seal is not None and seal[1] == _blanks(data[: seal.start(1)])


def is_broken(data: bytes) -> bool:
    """Whether a document has a seal, whole or in part, that does not fit."""
    return bool(_SEAL.search(data) or _CUT.search(data)) and not is_sealed(data)


def _blanks(whole: bytes) -> bytes:
    return f"{zlib.crc32(whole):032b}".translate({ord("0"): " ", ord("1"): "\t"}).encode()

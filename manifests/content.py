"""The hash by which a film is known again, wherever it lies and whatever it is called.

All of a small file is hashed; of a large one its size and three pieces, since inputs of terabytes lie on disks that
read 100 MB a second: two encodes of a film differ in each of the three.
"""

import hashlib
import io
from typing import IO

WHOLE_BYTES = 64 * 1024**2
"""Files up to this size are hashed whole."""
PIECE_BYTES = 4 * 1024**2
"""Of a larger file: so much of its head, of its middle and of its tail."""
SAMPLED = "sampled-"
"""What the hash of three pieces begins with: it says nothing of the bytes between them."""
HEAD_BYTES = 64 * 1024
"""So much of a film behind an address is asked for when it is looked at: its index, or its first pictures."""
HEAD = "head-"
"""What the hash of a head begins with."""


def content_hash(file: IO[bytes]) -> str:
    """The SHA-256 of an open file in hex digits, as `sha256sum` prints it; with SAMPLED before it that of its size and
    three pieces, for a file above WHOLE_BYTES.
    """
    size = file.seek(0, io.SEEK_END)
    if size <= WHOLE_BYTES:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    digest = hashlib.sha256(str(size).encode())
    for start in starts_of_pieces(size, PIECE_BYTES):
        file.seek(start)
        digest.update(file.read(PIECE_BYTES))
    return SAMPLED + digest.hexdigest()


def starts_of_pieces(size_bytes: int, piece_bytes: int) -> tuple[int, int, int]:
    """Where the head, the middle and the tail of a film begin that is longer than one of them."""
    return 0, (size_bytes - piece_bytes) // 2, size_bytes - piece_bytes


def head_hash(head: bytes, size_bytes: int) -> str:
    """HEAD and the SHA-256 of a film's length (-1: unknown) and its first HEAD_BYTES."""
    return HEAD + hashlib.sha256(str(size_bytes).encode() + b"\n" + head).hexdigest()
